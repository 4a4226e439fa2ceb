// Runs the snippets of the C++ documents and compares them with plain loops in double. Prints what is wrong; exits with 1.
#include "snippets.h"

#include <array>
#include <cstdio>
#include <random>

static int failures = 0;
static std::mt19937 generator(7);

static std::vector<float> draw(int64_t n, float spread = 1, float shift = 0) {
  std::normal_distribution<float> normal(shift, spread);
  std::vector<float> out(n + 64);  // some snippets may read on behind the end
  for (auto& x : out) x = normal(generator);
  return out;
}

// The largest error relative to the usual size of the values and to each value.
static void compare(const char* name, const float* found, const std::vector<double>& wanted, double allowed) {
  double square = 0, worst = 0;
  for (double x : wanted) square += std::isfinite(x) ? x * x : 0;
  const double usual = std::sqrt(square / std::max<size_t>(1, wanted.size()));
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(wanted[i]) ? std::isnan(found[i]) : wanted[i] == found[i]) continue;
    const double error = std::abs(found[i] - wanted[i]) / (usual + std::abs(wanted[i]));
    if (!(error <= worst)) worst = error;
  }
  if (!(worst <= allowed)) std::printf("%s: error %g, allowed %g\n", name, worst, allowed), ++failures;
}

static void elementwise(const char* name, F (*function)(F), double (*exact)(double), std::vector<float> x, double allowed) {
  x.resize(x.size() / W * W);
  std::vector<float> y(x.size());
  for (size_t j = 0; j < x.size(); j += W) store(&y[j], function(load(&x[j])));
  double worst = 0;
  for (size_t j = 0; j < x.size(); ++j) {
    const double wanted = exact(x[j]), error = std::abs(y[j] - wanted) / std::max(std::abs(wanted), 1e-37);
    if (std::isnan(wanted) ? !std::isnan(y[j]) : !(error <= allowed) && static_cast<float>(wanted) != y[j])
      worst = std::max(worst, std::isnan(error) ? INFINITY : error);
  }
  if (worst > 0) std::printf("%s: error %g, allowed %g\n", name, worst, allowed), ++failures;
}

static void functions() {
  const double ulp = 6e-8;
  auto wide = draw(1 << 14, 20), near = draw(1 << 14), tiny = draw(1 << 14, 1e-4f);
  for (auto* x : {&wide, &near, &tiny}) {
    for (auto& v : *x) v = std::max(-85.0f, std::min(85.0f, v));
    elementwise("exp_", exp_, [](double v) { return std::exp(v); }, *x, 3 * ulp);
    elementwise("sigmoid_", sigmoid_, [](double v) { return 1 / (1 + std::exp(-v)); }, *x, 5 * ulp);
    elementwise("silu_", silu_, [](double v) { return v / (1 + std::exp(-v)); }, *x, 5 * ulp);
    elementwise("tanh_", tanh_, [](double v) { return std::tanh(v); }, *x, 6 * ulp);
    elementwise("erf_", erf_, [](double v) { return std::erf(v); }, *x, 8 * ulp);
    auto positive = *x;
    for (auto& v : positive) v = std::abs(v) + 1e-30f;
    elementwise("log_", log_, [](double v) { return std::log(v); }, positive, 4 * ulp);
  }
  std::vector<float> special(W, NAN);
  elementwise("exp_(NaN)", exp_, [](double v) { return std::exp(v); }, special, 0);
  elementwise("tanh_(NaN)", tanh_, [](double v) { return std::tanh(v); }, special, 0);
  special.assign(W, -INFINITY);
  elementwise("exp_(-inf)", exp_, [](double v) { return std::exp(v); }, special, 0);
  special.assign(W, INFINITY);
  elementwise("exp_(inf)", exp_, [](double v) { return std::exp(v); }, special, 0);
  elementwise("tanh_(inf)", tanh_, [](double v) { return std::tanh(v); }, special, 1e-7);
  std::vector<double> wanted(near.size() - 64);
  std::vector<float> y(near.size());
  for (size_t j = 0; j + W <= near.size(); j += W) store(&y[j], gelu_(load(&near[j])));
  for (size_t j = 0; j < wanted.size(); ++j) wanted[j] = 0.5 * near[j] * (1 + std::erf(near[j] / std::sqrt(2.0)));
  compare("gelu_", y.data(), wanted, 1e-6);
}

static std::vector<double> softmax_of(const float* x, int64_t n) {
  double largest = -INFINITY, total = 0;
  for (int64_t j = 0; j < n; ++j) largest = std::max<double>(largest, x[j]);
  std::vector<double> out(n);
  for (int64_t j = 0; j < n; ++j) total += out[j] = std::exp(x[j] - largest);
  for (auto& v : out) v /= total;
  return out;
}

static void rows() {
  for (int64_t n : {1, 7, 8, 31, 64, 65, 1000, 100003}) {
    const auto x = draw(n, 3, 2), w = draw(n), b = draw(n);
    double total = 0, largest = -INFINITY, squares = 0;
    for (int64_t j = 0; j < n; ++j) total += x[j], largest = std::max<double>(largest, x[j]);
    for (int64_t j = 0; j < n; ++j) squares += (x[j] - total / n) * (x[j] - total / n);
    float found = static_cast<float>(row_sum(x.data(), n));
    compare("row_sum", &found, {total}, 1e-6);
    found = static_cast<float>(total_of(x.data(), n));
    compare("total_of", &found, {total}, 1e-6);
    found = row_max(x.data(), n);
    compare("row_max", &found, {largest}, 0);
    auto broken = x;
    broken[n / 2] = NAN;
    found = row_max(broken.data(), n);
    compare("row_max(NaN)", &found, {NAN}, 0);
    std::vector<float> y(n + 64);
    softmax_row(x.data(), y.data(), n);
    compare("softmax_row", y.data(), softmax_of(x.data(), n), 2e-6 + 6e-8 * std::sqrt(n));
    softmax_row(broken.data(), y.data(), n);
    compare("softmax_row(NaN)", y.data(), std::vector<double>(n, NAN), 0);
    double exponentials = 0;
    for (int64_t j = 0; j < n; ++j) exponentials += std::exp(x[j] - largest);
    found = log_sum_exp(x.data(), n);
    compare("log_sum_exp", &found, {largest + std::log(exponentials)}, 1e-6);
    found = log_sum_exp(broken.data(), n);
    compare("log_sum_exp(NaN)", &found, {NAN}, 0);
    const std::vector<float> masked(n, -INFINITY);
    found = log_sum_exp(masked.data(), n);
    compare("log_sum_exp(-inf)", &found, {-INFINITY}, 0);
    broken[n / 2] = INFINITY;
    found = log_sum_exp(broken.data(), n);
    compare("log_sum_exp(inf)", &found, {INFINITY}, 0);
    layer_norm_row(x.data(), w.data(), b.data(), y.data(), n, 1e-5f);
    std::vector<double> wanted(n), sums(n);
    for (int64_t j = 0; j < n; ++j) wanted[j] = (x[j] - total / n) / std::sqrt(squares / n + 1e-5) * w[j] + b[j];
    compare("layer_norm_row", y.data(), wanted, 2e-6);
    double running = 0;
    for (int64_t j = 0; j < n; ++j) sums[j] = running += x[j];
    cumsum_long(x.data(), y.data(), n);
    compare("cumsum_long", y.data(), sums, 1e-6);
    for (int64_t j = 0; j < n; ++j) wanted[j] = x[j] * 0.3f;
    for (int64_t shift : {0, 1}) {
      std::vector<float> z(n + 64);
      scale_past_caches(x.data(), z.data() + shift, n, 0.3f);
      compare("scale_past_caches", z.data() + shift, wanted, 1e-7);
    }
  }
}

static void matrices() {
  for (auto [m, n, k] : {std::array<int64_t, 3>{1, 1, 1}, {7, 45, 33}, {64, 96, 128}, {300, 5, 17}}) {
    const auto x = draw(m * k), weight = draw(n * k), bias = draw(n);
    std::vector<float> packed((n + NR - 1) / NR * NR * k), y(m * n);
    pack_weight(weight.data(), packed.data(), n, k);
    linear_relu(x.data(), packed.data(), bias.data(), y.data(), m, n, k);
    std::vector<double> wanted(m * n), columns(k), flipped(m * k), plain(m * k);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double z = bias[j];
        for (int64_t p = 0; p < k; ++p) z += static_cast<double>(x[i * k + p]) * weight[j * k + p];
        wanted[i * n + j] = std::max(z, 0.0);
      }
    compare("linear_relu", y.data(), wanted, 1e-5);
    y.resize(m * k + k);
    column_sums(x.data(), y.data(), m, k);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t p = 0; p < k; ++p) {
        columns[p] += x[i * k + p], flipped[p * m + i] = x[i * k + p];
        plain[i * k + p] = std::max(0.0f, x[i * k + p] + weight[p]) * 2.0f;
      }
    compare("column_sums", y.data(), columns, 1e-6);
    transpose(x.data(), y.data(), m, k);
    compare("transpose", y.data(), flipped, 0);
    bias_relu_scale(x.data(), weight.data(), y.data(), m, k, 2.0f);
    compare("bias_relu_scale", y.data(), plain, 1e-7);
    five_points(x.data(), y.data(), m, k, 0.5f, 0.25f);
    const auto at = [&, m = m, k = k](int64_t i, int64_t j) { return i < 0 || j < 0 || i >= m || j >= k ? 0.0 : x[i * k + j]; };
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < k; ++j)
        plain[i * k + j] = 0.5 * at(i, j) + 0.25 * (at(i - 1, j) + at(i + 1, j) + at(i, j - 1) + at(i, j + 1));
    compare("five_points", y.data(), plain, 1e-6);
    std::vector<int64_t> ids(m);
    for (auto& id : ids) id = static_cast<int64_t>(generator() % n);
    std::vector<double> gathered(m * k), scattered(n * k);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t p = 0; p < k; ++p) {
        gathered[i * k + p] = weight[ids[i] * k + p];
        scattered[ids[i] * k + p] += x[i * k + p];
      }
    embed(weight.data(), ids.data(), y.data(), m, k);
    compare("embed", y.data(), gathered, 0);
    y.resize(std::max(m, n) * k);
    scatter_add(x.data(), ids.data(), y.data(), m, n, k);
    compare("scatter_add", y.data(), scattered, 1e-5);
  }
}

static void grids() {
  for (auto [h, w, steps] : {std::array<int64_t, 3>{1, 1, 2}, {2, 9, 1}, {700, 300, 0}, {700, 300, 1}, {400, 300, 30}, {30, 40000, 3}}) {
    const auto x = draw(h * w);
    std::vector<float> y(h * w);
    std::vector<double> now(x.begin(), x.begin() + h * w);
    for (int64_t s = 0; s < steps; ++s) {
      const auto was = now;
      for (int64_t i = 1; i < h - 1; ++i)
        for (int64_t j = 1; j < w - 1; ++j) {
          const double* at = &was[i * w + j];
          now[i * w + j] = at[0] + 0.1 * (at[-w] + at[w] + at[-1] + at[1] - 4 * at[0]);
        }
    }
    diffuse(x.data(), y.data(), h, w, steps, 0.1f);
    compare("diffuse", y.data(), now, 1e-6);
  }
}

static void convolution() {
  const int64_t oc = 8, ic = 3, hp = 11, wp = 40, kh = 3, kw = 5, h = hp - kh + 1, w = wp - kw + 1;
  const auto x = draw(ic * hp * wp), weight = draw(oc * ic * kh * kw), bias = draw(oc);
  std::vector<float> y(oc * h * w);
  conv_image(x.data(), weight.data(), bias.data(), y.data(), oc, ic, hp, wp, kh, kw);
  std::vector<double> wanted;
  for (int64_t o = 0; o < oc; ++o)
    for (int64_t i = 0; i < h; ++i)
      for (int64_t j = 0; j < w; ++j) {
        double z = bias[o];
        for (int64_t p = 0; p < ic; ++p)
          for (int64_t a = 0; a < kh; ++a)
            for (int64_t b = 0; b < kw; ++b)
              z += static_cast<double>(weight[((o * ic + p) * kh + a) * kw + b]) * x[(p * hp + i + a) * wp + j + b];
        wanted.push_back(z);
      }
  compare("conv_image", y.data(), wanted, 1e-5);
}

static void attention() {
  const int64_t nq = 37, nk = 150, d = 24;
  const auto q = draw(nq * d), k = draw(nk * d), v = draw(nk * d);
  std::vector<float> y(nq * d);
  for (int64_t first : {nk, int64_t{0}, int64_t{70}}) {
    std::fill(y.begin(), y.end(), NAN);
    attention_head(q.data(), k.data(), v.data(), y.data(), nq, nk, d, 0.2f, first);
    std::vector<double> wanted(nq * d);
    for (int64_t i = 0; i < nq; ++i) {
      const int64_t seen = std::min(nk, first + i + 1);
      std::vector<float> scores(seen);
      for (int64_t j = 0; j < seen; ++j)
        for (int64_t e = 0; e < d; ++e) scores[j] += 0.2f * q[i * d + e] * k[j * d + e];
      const auto p = softmax_of(scores.data(), seen);
      for (int64_t j = 0; j < seen; ++j)
        for (int64_t e = 0; e < d; ++e) wanted[i * d + e] += p[j] * v[j * d + e];
    }
    compare("attention_head", y.data(), wanted, 1e-5);
  }
}

static void half_precision() {
  auto x = draw(1000);
  x[0] = NAN, x[1] = INFINITY, x[2] = 0.0f, x[3] = 1.00390625f;  // halfway between two bfloat16: to even
  std::vector<uint16_t> h(1000), out(1000);
  std::vector<double> wanted(1000);
  std::vector<float> found(1000);
  for (int i = 0; i < 1000; ++i) h[i] = to_bf16(x[i]);
  if (from_bf16(h[3]) != 1.0f) std::printf("to_bf16 does not round to even\n"), ++failures;
  scale_bf16(h.data(), out.data(), 1000, 2.0f);
  for (int i = 0; i < 1000; ++i) wanted[i] = from_bf16(h[i]) * 2.0, found[i] = from_bf16(out[i]);
  compare("scale_bf16", found.data(), wanted, 0);
  std::vector<double> exact(x.begin(), x.begin() + 1000);
  for (int i = 0; i < 1000; ++i) found[i] = from_bf16(h[i]);
  compare("to_bf16", found.data(), exact, 1.0 / 256);
#if defined(__SSE2__)
  volatile float small = 1e-38f, half = 0.5f;
  const unsigned before = _mm_getcsr();
  {
    FlushDenormals guard;
    if (small * half * half != 0.0f) std::printf("FlushDenormals does not flush\n"), ++failures;
  }
  if (_mm_getcsr() != before || small * half * half == 0.0f) std::printf("FlushDenormals leaves its mode\n"), ++failures;
#endif
}

int main() {
  for (int n = 1; n < W; ++n) {
    const auto x = draw(W);
    float y[W] = {};
    store_part(y, load_part(x.data(), n, 9.0f), n);
    std::vector<double> wanted(W);
    std::copy(x.begin(), x.begin() + n, wanted.begin());
    compare("store_part", y, wanted, 0);
    if (load_part(x.data(), n, 9.0f)[n] != 9.0f) std::printf("load_part does not pad\n"), ++failures;
  }
  functions();
  rows();
  matrices();
  grids();
  convolution();
  attention();
  half_precision();
  return failures > 0;
}
