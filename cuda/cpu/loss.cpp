// L1 and SSIM with their gradient. SSIM: Wang et al. (2004), an 11-pixel Gaussian window of sigma 1.5, zero beyond the
// border, one channel at a time, the separable blur done row by row.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "kernels.h"
#include "math/ssim.h"

namespace splatworld {
namespace {

constexpr int RADIUS = SSIM_RADIUS, TAPS = SSIM_TAPS;
constexpr int ROWS = 8;  // a task

struct Window {
  float tap[TAPS];
  Window() {
    double total = 0, weight[TAPS];
    for (int i = 0; i < TAPS; ++i) total += weight[i] = std::exp(-(i - RADIUS) * (i - RADIUS) / (2 * 1.5 * 1.5));
    for (int i = 0; i < TAPS; ++i) tap[i] = static_cast<float>(weight[i] / total);
  }
};
const Window WINDOW;

struct Line {
  FloatV x;  // 0, 1, ...
  Line() {
    for (int i = 0; i < LANES; ++i) x[i] = static_cast<float>(i);
  }
};
const FloatV LINE = Line().x;

// One channel of one image while its loss is computed.
struct Channel {
  const float* image;
  const uint8_t* target;
  const uint8_t* mask;
  int width, height, channel;
  float gain;
  float* planes;  // 0-3: blurred x, y, xx + yy, xy; 4-6: blurred derivatives by the mean, xx and xy

  float* row(int plane, int y) const { return planes + (static_cast<int64_t>(plane) * height + y) * width; }

  // 1 where the mask, if any, lets a pixel count.
  FloatV used(int y, int x, int count) const {
    FloatV value = broadcast(1.0f);
    for (int i = 0; mask && i < count; ++i) value[i] = mask[static_cast<int64_t>(y) * width + x + i] ? 1.0f : 0.0f;
    return value;
  }

  // Masked pixels read 0 in both, so that they look alike and pass nothing on.
  void read(int y, float* x_row, float* y_row) const {
    const int64_t start = static_cast<int64_t>(y) * width;
    for (int x = 0; x < width; ++x) x_row[x] = gain * image[3 * (start + x) + channel];
    for (int x = 0; x < width; ++x) y_row[x] = target[3 * (start + x) + channel] * (1.0f / 255.0f);
    for (int x = 0; mask && x < width; ++x)
      if (!mask[start + x]) x_row[x] = y_row[x] = 0.0f;
  }

  // Column sums of LANES pixels from x for ROWS rows from y on, each row of the plane read once.
  void blur_columns(int plane, int y, int x, int count, FloatV out[ROWS]) const {
    FloatV total[ROWS] = {};
#pragma GCC unroll 32
    for (int j = 0; j < ROWS + 2 * RADIUS; ++j) {
      int from = y - RADIUS + j;
      if (from < 0 || from >= height) continue;
      FloatV value = load(row(plane, from) + x, count);
#pragma GCC unroll 32
      for (int i = 0; i < ROWS; ++i)
        if (i <= j && j - i < TAPS) total[i] = total[i] + WINDOW.tap[j - i] * value;
    }
    for (int i = 0; i < ROWS; ++i) out[i] = total[i];
  }
};

// padded holds RADIUS zeros before and after its `width` numbers.
void blur_row(const float* padded, int width, float* out) {
  for_lanes(width, [&](int x, int count) {
    FloatV total{};
    for (int k = 0; k < TAPS; ++k) total = total + WINDOW.tap[k] * load(padded + x + k, count);
    store(total, out + x, count);
  });
}

// Row buffers of one task; the only memory the kernels take, a few rows on the thread that runs the task.
struct Rows {
  int stride;
  std::vector<float> data;
  Rows(int width, int count) : stride(width + 2 * RADIUS), data(static_cast<size_t>(stride) * count, 0.0f) {}
  float* padded(int i) { return data.data() + static_cast<size_t>(stride) * i; }
  float* operator[](int i) { return padded(i) + RADIUS; }
};

void blur_moments(const Channel& c, int y) {
  Rows rows(c.width, 4);
  c.read(y, rows[0], rows[1]);
  for (int x = 0; x < c.width; ++x) {
    float a = rows[0][x], b = rows[1][x];
    rows[2][x] = a * a + b * b;
    rows[3][x] = a * b;
  }
  for (int i = 0; i < 4; ++i) blur_row(rows.padded(i), c.width, c.row(i, y));
}

// SSIM of some rows, and the row-blurred derivatives of its sum by the blurred x, xx and xy.
void ssim_rows(const Channel& c, int first, int last, double* sums) {
  Rows derivatives(c.width, 3 * ROWS);
  FloatV total[ROWS] = {};
  for_lanes(c.width, [&](int x, int count) {
    FloatV moments[4][ROWS];
    for (int i = 0; i < 4; ++i) c.blur_columns(i, first, x, count, moments[i]);
    for (int y = first; y < last; ++y) {
      const int i = y - first;
      const Ssim<FloatV> found = ssim_of(moments[0][i], moments[1][i], moments[2][i], moments[3][i]);
      FloatV used = c.used(y, x, count);
      store(used * found.by_mean, derivatives[3 * i] + x, count);
      store(used * found.by_xx, derivatives[3 * i + 1] + x, count);
      store(used * found.by_xy, derivatives[3 * i + 2] + x, count);
      FloatV real = select(LINE < broadcast(static_cast<float>(count)), used, FloatV{});
      total[i] = total[i] + real * found.value;
    }
  });
  for (int y = first; y < last; ++y) {
    for (int i = 0; i < 3; ++i) blur_row(derivatives.padded(3 * (y - first) + i), c.width, c.row(4 + i, y));
    sums[LOSS_SUMS * y + 1] += sum(total[y - first]);
  }
}

void gradient_rows(const Channel& c, int first, int last, float l1_scale, float ssim_scale, float* gradient,
                   double* sums) {
  Rows rows(c.width, 2 * ROWS);
  for (int y = first; y < last; ++y) c.read(y, rows[2 * (y - first)], rows[2 * (y - first) + 1]);
  FloatV l1[ROWS] = {}, by_log_gain[ROWS] = {};
  for_lanes(c.width, [&](int x, int count) {
    FloatV derivatives[3][ROWS];
    for (int i = 0; i < 3; ++i) c.blur_columns(4 + i, first, x, count, derivatives[i]);
    for (int y = first; y < last; ++y) {
      const int i = y - first;
      FloatV image = load(rows[2 * i] + x, count), target = load(rows[2 * i + 1] + x, count);
      FloatV difference = image - target;
      IntV more = difference > FloatV{}, less = difference < FloatV{};
      l1[i] = l1[i] + select(less, -difference, difference);
      FloatV sign = select(more, broadcast(1.0f), select(less, broadcast(-1.0f), FloatV{}));
      FloatV by_ssim = derivatives[0][i] + 2.0f * image * derivatives[1][i] + target * derivatives[2][i];
      FloatV value = c.used(y, x, count) * (l1_scale * sign - ssim_scale * by_ssim);
      by_log_gain[i] = by_log_gain[i] + value * image;
      value = value * c.gain;
      float* out = gradient + 3 * (static_cast<int64_t>(y) * c.width + x) + c.channel;
      for (int lane = 0; lane < count; ++lane) out[3 * lane] = value[lane];
    }
  });
  for (int y = first; y < last; ++y) {
    sums[LOSS_SUMS * y] += sum(l1[y - first]);
    sums[LOSS_SUMS * y + 2 + c.channel] += sum(by_log_gain[y - first]);
  }
}

}  // namespace

Loss l1_ssim(const float* image, const float* gain, const uint8_t* target, const uint8_t* mask, int width, int height,
             float ssim_weight, float* planes, double* row_sums, float* gradient) {
  int64_t pixels = static_cast<int64_t>(width) * height, used = pixels;
  if (mask) used = pixels - std::count(mask, mask + pixels, uint8_t{0});
  const double share = used ? 1.0 / (3.0 * used) : 0.0;
  auto for_rows = [&](auto&& task) {
    parallel_for((height + ROWS - 1) / ROWS,
                 [&](long block) { task(block * ROWS, std::min<int>(height, (block + 1) * ROWS)); });
  };
  std::fill(row_sums, row_sums + LOSS_SUMS * height, 0.0);
  for (int channel = 0; channel < 3; ++channel) {
    Channel c{image, target, mask, width, height, channel, gain ? gain[channel] : 1.0f, planes};
    for_rows([&](int first, int last) {
      for (int y = first; y < last; ++y) blur_moments(c, y);
    });
    for_rows([&](int first, int last) { ssim_rows(c, first, last, row_sums); });
    for_rows([&](int first, int last) {
      gradient_rows(c, first, last, static_cast<float>((1 - ssim_weight) * share),
                    static_cast<float>(ssim_weight * share), gradient, row_sums);
    });
  }
  Loss loss{};
  for (int y = 0; y < height; ++y) {
    const double* row = row_sums + LOSS_SUMS * y;
    loss.l1 += row[0] * share;
    loss.ssim += row[1] * share;
    for (int channel = 0; channel < 3; ++channel) loss.by_log_gain[channel] += row[2 + channel];
  }
  return loss;
}

}  // namespace splatworld
