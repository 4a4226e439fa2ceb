// The judge's comparison, for the common dtypes: every element of every output of every call is looked at, so that this must
// not take longer than the kernel itself. `numerics.py` says what is computed and does the rest (other dtypes, NaN, infinity).

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// By hand, since compilers differ in whether they know these types, and in whether they convert many at once.
struct Half {
  uint16_t bits;
  operator double() const {
    const uint32_t magnitude = uint32_t(bits & 0x7fff) << 13;  // as a float it is too small by the difference of biases
    const float value = magnitude < 0x0f800000 ? from_bits(magnitude) * 0x1p112f : from_bits(magnitude | 0x7f800000);
    return bits & 0x8000 ? -value : value;
  }
};

struct Bfloat {
  uint16_t bits;
  operator double() const { return from_bits(uint32_t(bits) << 16); }
};

// Worst and sum of |got - want| / (|want| + size of its row). Not finite where anything compared is not.
template <typename Got, typename Want>
void errors(const Got* got, const Want* want, const double* sizes, long rows, long row, double* worst, double* total) {
  double most = 0.0, sum = 0.0;
  for (long r = 0; r < rows; ++r) {
    const double size = sizes[r];
    const Got* g = got + r * row;
    const Want* w = want + r * row;
#pragma omp simd reduction(max : most) reduction(+ : sum)
    for (long i = 0; i < row; ++i) {
      const double exact = w[i];
      const double error = std::fabs(double(g[i]) - exact) / (std::fabs(exact) + size);
      most = error > most ? error : most;
      sum += error;
    }
  }
  *worst = most;
  *total = sum;
}

}  // namespace

#define DEFINE(NAME, GOT, WANT)                                                                              \
  extern "C" void NAME(const GOT* g, const WANT* w, const double* s, long rows, long row, double* m, double* t) { \
    errors(g, w, s, rows, row, m, t);                                                                        \
  }
DEFINE(errors_float16_float32, Half, float)
DEFINE(errors_float16_float64, Half, double)
DEFINE(errors_bfloat16_float32, Bfloat, float)
DEFINE(errors_bfloat16_float64, Bfloat, double)
DEFINE(errors_float32_float32, float, float)
DEFINE(errors_float32_float64, float, double)
DEFINE(errors_float64_float64, double, double)
