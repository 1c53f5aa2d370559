// L1 and SSIM with their gradient. SSIM: Wang et al. (2004), an 11-pixel Gaussian window of sigma 1.5, zero beyond the
// border, one channel at a time, the separable blur done row by row.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/threads.h"
#include "kernels.h"

namespace splatworld {
namespace {

constexpr int RADIUS = 5, TAPS = 2 * RADIUS + 1;
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;
constexpr int ROWS_A_TASK = 8;

struct Window {
  float tap[TAPS];
  Window() {
    double total = 0, weight[TAPS];
    for (int i = 0; i < TAPS; ++i) total += weight[i] = std::exp(-(i - RADIUS) * (i - RADIUS) / (2 * 1.5 * 1.5));
    for (int i = 0; i < TAPS; ++i) tap[i] = static_cast<float>(weight[i] / total);
  }
};
const Window WINDOW;

// out[x] = sum over k of tap[k] * in[x + k * step].
void weigh(const float* in, int64_t step, const float* tap, int taps, int width, float* out) {
  int x = 0;
  for (; x + LANES <= width; x += LANES) {
    FloatV total{};
    for (int k = 0; k < taps; ++k) {
      FloatV value;
      std::memcpy(&value, in + x + k * step, sizeof value);
      total = total + tap[k] * value;
    }
    std::memcpy(out + x, &total, sizeof total);
  }
  for (; x < width; ++x) {
    float total = 0;
    for (int k = 0; k < taps; ++k) total += tap[k] * in[x + k * step];
    out[x] = total;
  }
}

// One channel of one image while its loss is computed.
struct Channel {
  const float* image;
  const uint8_t* target;
  const uint8_t* mask;
  int width, height, channel;
  float* planes;  // 0-4: blurred x, y, xx, yy, xy; 5-7: blurred derivatives by the mean, xx and xy

  float* row(int plane, int y) const { return planes + (static_cast<int64_t>(plane) * height + y) * width; }

  // Masked pixels read 0 in both, so that they look alike and pass nothing on.
  void load(int y, float* x_row, float* y_row) const {
    int64_t start = static_cast<int64_t>(y) * width;
    for (int x = 0; x < width; ++x) {
      bool used = !mask || mask[start + x];
      x_row[x] = used ? image[3 * (start + x) + channel] : 0.0f;
      y_row[x] = used ? target[3 * (start + x) + channel] * (1.0f / 255.0f) : 0.0f;
    }
  }

  void blur_columns(int plane, int y, float* out) const {
    int first = std::max(y - RADIUS, 0), last = std::min(y + RADIUS, height - 1);
    const float* tap = WINDOW.tap + (first - y + RADIUS);
    weigh(row(plane, first), width, tap, last - first + 1, width, out);
  }
};

// padded holds RADIUS zeros before and after its `width` numbers.
void blur_row(const float* padded, int width, float* out) { weigh(padded, 1, WINDOW.tap, TAPS, width, out); }

// Row buffers of one task; the only memory the kernels take, a few rows on the thread that runs the task.
struct Rows {
  int stride;
  std::vector<float> data;
  Rows(int width, int count) : stride(width + 2 * RADIUS), data(static_cast<size_t>(stride) * count, 0.0f) {}
  float* padded(int i) { return data.data() + static_cast<size_t>(stride) * i; }
  float* operator[](int i) { return padded(i) + RADIUS; }
};

void blur_moments(const Channel& c, int y) {
  Rows rows(c.width, 5);
  c.load(y, rows[0], rows[1]);
  for (int x = 0; x < c.width; ++x) {
    float a = rows[0][x], b = rows[1][x];
    rows[2][x] = a * a;
    rows[3][x] = b * b;
    rows[4][x] = a * b;
  }
  for (int i = 0; i < 5; ++i) blur_row(rows.padded(i), c.width, c.row(i, y));
}

// SSIM of a row, and the row-blurred derivatives of its sum by the blurred x, xx and xy.
double ssim_row(const Channel& c, int y) {
  Rows moments(c.width, 5), derivatives(c.width, 3);
  for (int i = 0; i < 5; ++i) c.blur_columns(i, y, moments[i]);
  double total = 0;
  for (int x = 0; x < c.width; ++x) {
    float mx = moments[0][x], my = moments[1][x];
    float vx = moments[2][x] - mx * mx, vy = moments[3][x] - my * my, vxy = moments[4][x] - mx * my;
    float a = 2 * mx * my + C1, b = 2 * vxy + C2, ca = mx * mx + my * my + C1, cb = vx + vy + C2;
    float inverse = 1.0f / (ca * cb), ssim = a * b * inverse;
    float by_vx = -ssim / cb, by_vxy = 2 * a * inverse;
    float used = !c.mask || c.mask[static_cast<int64_t>(y) * c.width + x] ? 1.0f : 0.0f;
    derivatives[0][x] = used * (2 * my * b * inverse - 2 * mx * ssim / ca - 2 * mx * by_vx - my * by_vxy);
    derivatives[1][x] = used * by_vx;
    derivatives[2][x] = used * by_vxy;
    total += used * ssim;
  }
  for (int i = 0; i < 3; ++i) blur_row(derivatives.padded(i), c.width, c.row(5 + i, y));
  return total;
}

double gradient_row(const Channel& c, int y, float l1_scale, float ssim_scale, float* gradient) {
  Rows rows(c.width, 5);
  c.load(y, rows[0], rows[1]);
  for (int i = 0; i < 3; ++i) c.blur_columns(5 + i, y, rows[2 + i]);
  double l1 = 0;
  int64_t start = static_cast<int64_t>(y) * c.width;
  for (int x = 0; x < c.width; ++x) {
    float difference = rows[0][x] - rows[1][x];
    l1 += std::fabs(difference);
    float sign = static_cast<float>((difference > 0) - (difference < 0));
    float by_ssim = rows[2][x] + 2 * rows[0][x] * rows[3][x] + rows[1][x] * rows[4][x];
    bool used = !c.mask || c.mask[start + x];
    gradient[3 * (start + x) + c.channel] = used ? l1_scale * sign - ssim_scale * by_ssim : 0.0f;
  }
  return l1;
}

}  // namespace

Loss l1_ssim(const float* image, const uint8_t* target, const uint8_t* mask, int width, int height, float ssim_weight,
             float* planes, double* row_sums, float* gradient) {
  int64_t pixels = static_cast<int64_t>(width) * height, used = pixels;
  if (mask) used = pixels - std::count(mask, mask + pixels, uint8_t{0});
  const double share = used ? 1.0 / (3.0 * used) : 0.0;
  auto for_rows = [&](auto&& task) {
    parallel_for((height + ROWS_A_TASK - 1) / ROWS_A_TASK, [&](long block) {
      int end = std::min<int>(height, (block + 1) * ROWS_A_TASK);
      for (int y = block * ROWS_A_TASK; y < end; ++y) task(y);
    });
  };
  std::fill(row_sums, row_sums + 2 * height, 0.0);
  for (int channel = 0; channel < 3; ++channel) {
    Channel c{image, target, mask, width, height, channel, planes};
    for_rows([&](int y) { blur_moments(c, y); });
    for_rows([&](int y) { row_sums[2 * y + 1] += ssim_row(c, y); });
    for_rows([&](int y) {
      row_sums[2 * y] += gradient_row(c, y, static_cast<float>((1 - ssim_weight) * share),
                                      static_cast<float>(ssim_weight * share), gradient);
    });
  }
  Loss loss{0, 0};
  for (int y = 0; y < height; ++y) {
    loss.l1 += row_sums[2 * y] * share;
    loss.ssim += row_sums[2 * y + 1] * share;
  }
  return loss;
}

}  // namespace splatworld
