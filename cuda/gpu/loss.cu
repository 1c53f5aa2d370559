// L1 and SSIM with their gradient, in two passes over tiles with a border: the first leaves the derivatives by the blurred
// moments, the second blurs them back. See cpu/loss.cpp.
#include "gpu/passes.h"
#include "gpu/sum.h"
#include "math/ssim.h"

namespace splatworld::gpu {
namespace {

constexpr int THREADS = TILE * TILE, BORDERED = TILE + 2 * SSIM_RADIUS;

struct Images {
  const float *image, *gain;
  const uint8_t *target, *mask;
  int width, height;
  SW_HD int64_t pixels() const { return static_cast<int64_t>(width) * height; }
  SW_HD int tiles_x() const { return (width + TILE - 1) / TILE; }
  SW_HD int tiles_y() const { return (height + TILE - 1) / TILE; }
  SW_HD bool holds(int x, int y) const { return x >= 0 && y >= 0 && x < width && y < height; }
};

struct Window {
  float tap[SSIM_TAPS];
};

Window make_window() {
  Window window;
  double total = 0, weight[SSIM_TAPS];
  for (int i = 0; i < SSIM_TAPS; ++i)
    total += weight[i] = std::exp(-(i - SSIM_RADIUS) * (i - SSIM_RADIUS) / (2 * 1.5 * 1.5));
  for (int i = 0; i < SSIM_TAPS; ++i) window.tap[i] = static_cast<float>(weight[i] / total);
  return window;
}

// A thread's pixel and channel: blocks go over tiles, then over channels.
struct Spot {
  int left, top, column, row, x, y, channel;
  bool inside;
  __device__ explicit Spot(const Images& images) {
    const int tiles = images.tiles_x() * images.tiles_y(), tile = blockIdx.x % tiles;
    channel = blockIdx.x / tiles;
    left = tile % images.tiles_x() * TILE;
    top = tile / images.tiles_x() * TILE;
    column = threadIdx.x % TILE;
    row = threadIdx.x / TILE;
    x = left + column;
    y = top + row;
    inside = images.holds(x, y);
  }
};

struct Pair {
  float x, y;
};

// Masked pixels read 0 in both, so that they look alike and pass nothing on; as do those beyond the border.
__device__ Pair read(const Images& images, int x, int y, int channel) {
  if (!images.holds(x, y)) return {0.0f, 0.0f};
  const int64_t pixel = static_cast<int64_t>(y) * images.width + x;
  if (images.mask && !images.mask[pixel]) return {0.0f, 0.0f};
  const float gain = images.gain ? images.gain[channel] : 1.0f;
  return {gain * images.image[3 * pixel + channel], images.target[3 * pixel + channel] * (1.0f / 255.0f)};
}

__device__ bool is_used(const Images& images, const Spot& spot) {
  return spot.inside && (!images.mask || images.mask[static_cast<int64_t>(spot.y) * images.width + spot.x]);
}

// The tile's numbers with their border, blurred along rows into `rows`, then along columns for each thread's pixel. COUNT
// numbers side by side; value(x, y, out) gives those of a pixel.
template <int COUNT>
struct Blur {
  float bordered[COUNT][BORDERED][BORDERED], rows[COUNT][BORDERED][TILE];

  template <class Value>
  __device__ void run(const Spot& spot, const Window& window, Value&& value, float out[COUNT]) {
    for (int i = threadIdx.x; i < BORDERED * BORDERED; i += THREADS) {
      float numbers[COUNT];
      value(spot.left + i % BORDERED - SSIM_RADIUS, spot.top + i / BORDERED - SSIM_RADIUS, numbers);
      for (int k = 0; k < COUNT; ++k) bordered[k][i / BORDERED][i % BORDERED] = numbers[k];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < BORDERED * TILE; i += THREADS)
      for (int k = 0; k < COUNT; ++k) {
        float total = 0.0f;
        for (int j = 0; j < SSIM_TAPS; ++j) total += window.tap[j] * bordered[k][i / TILE][i % TILE + j];
        rows[k][i / TILE][i % TILE] = total;
      }
    __syncthreads();
    for (int k = 0; k < COUNT; ++k) {
      out[k] = 0.0f;
      for (int j = 0; j < SSIM_TAPS; ++j) out[k] += window.tap[j] * rows[k][spot.row + j][spot.column];
    }
  }
};

// planes: for each channel the derivatives of the sum of SSIM by the blurred x, x x and x y.
__global__ void ssim_kernel(Images images, Window window, float* planes, double* block_sums) {
  __shared__ Blur<4> blur;
  const Spot spot(images);
  float moments[4];
  blur.run(spot, window, [&](int x, int y, float* out) {
    const Pair own = read(images, x, y, spot.channel);
    out[0] = own.x;
    out[1] = own.y;
    out[2] = own.x * own.x + own.y * own.y;
    out[3] = own.x * own.y;
  }, moments);
  const Ssim<float> found = ssim_of(moments[0], moments[1], moments[2], moments[3]);
  const bool used = is_used(images, spot);
  if (spot.inside) {
    float* out = planes + 3 * spot.channel * images.pixels() + static_cast<int64_t>(spot.y) * images.width + spot.x;
    out[0] = used ? found.by_mean : 0.0f;
    out[images.pixels()] = used ? found.by_xx : 0.0f;
    out[2 * images.pixels()] = used ? found.by_xy : 0.0f;
  }
  // The number of pixels used is kept where gradient_kernel leaves its sums later.
  sum_block<THREADS>({used ? found.value : 0.0, used ? 1.0 : 0.0}, block_sums + 3 * blockIdx.x);
}

__global__ void gradient_kernel(Images images, Window window, const float* planes, const int64_t* used_pixels,
                                float ssim_weight, float* gradient, double* block_sums) {
  __shared__ Blur<3> blur;
  const Spot spot(images);
  float derivatives[3];
  blur.run(spot, window, [&](int x, int y, float* out) {
    const bool inside = images.holds(x, y);
    const int64_t at = 3 * spot.channel * images.pixels() + static_cast<int64_t>(y) * images.width + x;
    for (int k = 0; k < 3; ++k) out[k] = inside ? planes[at + k * images.pixels()] : 0.0f;
  }, derivatives);
  const Pair own = read(images, spot.x, spot.y, spot.channel);
  const float share = *used_pixels ? static_cast<float>(1.0 / (3.0 * *used_pixels)) : 0.0f;
  const float difference = own.x - own.y, sign = difference > 0.0f ? 1.0f : difference < 0.0f ? -1.0f : 0.0f;
  const float by_ssim = derivatives[0] + 2.0f * own.x * derivatives[1] + own.y * derivatives[2];
  const float value =
      is_used(images, spot) ? share * ((1.0f - ssim_weight) * sign - ssim_weight * by_ssim) : 0.0f;
  const float gain = images.gain ? images.gain[spot.channel] : 1.0f;
  if (spot.inside) gradient[3 * (static_cast<int64_t>(spot.y) * images.width + spot.x) + spot.channel] = gain * value;
  sum_block<THREADS>({spot.inside ? std::fabs(difference) : 0.0, value * own.x}, block_sums + 3 * blockIdx.x + 1);
}

// Of the first channel's blocks.
__global__ void count_kernel(int tiles, const double* block_sums, int64_t* used_pixels) {
  __shared__ double total;
  double used[1] = {};
  for (int block = threadIdx.x; block < tiles; block += THREADS) used[0] += block_sums[3 * block + 1];
  sum_block<THREADS>(used, &total);
  if (threadIdx.x == 0) *used_pixels = static_cast<int64_t>(total);
}

__global__ void finish_kernel(Images images, const int64_t* used_pixels, const double* block_sums, Loss* loss) {
  const int tiles = images.tiles_x() * images.tiles_y();
  const double share = *used_pixels ? 1.0 / (3.0 * *used_pixels) : 0.0;
  __shared__ double totals[5];
  double sums[5] = {};
  for (int block = threadIdx.x; block < 3 * tiles; block += THREADS) {
    sums[0] += block_sums[3 * block];
    sums[1] += block_sums[3 * block + 1];
    sums[2 + block / tiles] += block_sums[3 * block + 2];
  }
  sum_block<THREADS>(sums, totals);
  if (threadIdx.x == 0) *loss = {totals[1] * share, totals[0] * share, {totals[2], totals[3], totals[4]}};
}

}  // namespace

void l1_ssim(Stream stream, const float* image, const float* gain, const uint8_t* target, const uint8_t* mask, int width,
             int height, float ssim_weight, float* planes, double* block_sums, int64_t* used_pixels, Loss* loss,
             float* gradient) {
  static const Window window = make_window();
  const Images images{image, gain, target, mask, width, height};
  const int64_t blocks = int64_t{3} * images.tiles_x() * images.tiles_y();
  launch(ssim_kernel, blocks, THREADS, stream, images, window, planes, block_sums);
  launch(count_kernel, 1, THREADS, stream, images.tiles_x() * images.tiles_y(), block_sums, used_pixels);
  launch(gradient_kernel, blocks, THREADS, stream, images, window, planes, used_pixels, ssim_weight, gradient, block_sums);
  launch(finish_kernel, 1, THREADS, stream, images, used_pixels, block_sums, loss);
}

}  // namespace splatworld::gpu
