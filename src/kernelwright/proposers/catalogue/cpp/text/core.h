// Vectors of W lanes by GCC/Clang vector extensions: AVX2, AVX-512, NEON or plain code, whatever -march=native has.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <omp.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

using tvm::ffi::TensorView;
// Kernels are called from Python through these. tvm-ffi's own wrapper has the text of every error of every argument in it,
// which takes longer to compile than most kernels.
template <class T> __attribute__((noinline)) T given(const TVMFFIAny& value) {
  return tvm::ffi::AnyView::CopyFromTVMFFIAny(value).cast<T>();
}
template <class R, class... T, size_t... I>
void call(R (*kernel)(T...), const char* name, const TVMFFIAny* values, int count, std::index_sequence<I...>) {
  static_assert(std::is_void_v<R>, "kernels return nothing");
  if (count != sizeof...(T)) TVM_FFI_THROW(TypeError) << name << " takes " << sizeof...(T) << " arguments, not " << count;
  kernel(given<std::decay_t<T>>(values[I])...);
}
template <class R, class... T> void called(R (*kernel)(T...), const char* name, const TVMFFIAny* values, int count) {
  call(kernel, name, values, count, std::index_sequence_for<T...>{});
}
#undef TVM_FFI_DLL_EXPORT_TYPED_FUNC
#define TVM_FFI_DLL_EXPORT_TYPED_FUNC(name, kernel)                                                              \
  extern "C" TVM_FFI_DLL_EXPORT int __tvm_ffi_##name(void*, const TVMFFIAny* values, int32_t count, TVMFFIAny*) { \
    TVM_FFI_SAFE_CALL_BEGIN();                                                                                   \
    called(kernel, #name, values, count);                                                                        \
    TVM_FFI_SAFE_CALL_END();                                                                                     \
  }
#define INLINE __attribute__((always_inline))
#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif
template <class T> struct lanes {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
  typedef T loose __attribute__((vector_size(W * sizeof(T)), aligned(alignof(T))));  // wherever it lies in memory
};
template <class T> using vec = typename lanes<T>::type;
using F = vec<float>;
using D = vec<double>;
using I = vec<int32_t>;
using L = vec<int64_t>;
using M = vec<int32_t>;  // -1 where true

// A full vector, or the first n lanes of one at the end of a row.
struct Full { static constexpr int n = W; };
struct Part { int n; };
#if defined(__AVX512F__)
INLINE inline __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1u << n) - 1); }
#endif

template <class To, class From> INLINE inline vec<To> convert(From v) { return __builtin_convertvector(v, vec<To>); }
template <class T> INLINE inline I widen(vec<T> v) {  // from 8 or 16 bits; compilers take bytes apart one by one
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, int8_t>) return (I)_mm512_cvtepi8_epi32((__m128i)v);
  else if constexpr (sizeof(T) == 1) return (I)_mm512_cvtepu8_epi32((__m128i)v);
  else if constexpr (std::is_same_v<T, int16_t>) return (I)_mm512_cvtepi16_epi32((__m256i)v);
  else return (I)_mm512_cvtepu16_epi32((__m256i)v);
#elif defined(__AVX2__)
  __m128i low{};
  std::memcpy(&low, &v, sizeof v);
  if constexpr (std::is_same_v<T, int8_t>) return (I)_mm256_cvtepi8_epi32(low);
  else if constexpr (sizeof(T) == 1) return (I)_mm256_cvtepu8_epi32(low);
  else if constexpr (std::is_same_v<T, int16_t>) return (I)_mm256_cvtepi16_epi32(low);
  else return (I)_mm256_cvtepu16_epi32(low);
#else
  return convert<int32_t>(v);
#endif
}
template <class T> INLINE inline vec<T> narrow(I v) {  // the low bytes of each lane
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 1) return (vec<T>)_mm512_cvtepi32_epi8((__m512i)v);
  else return (vec<T>)_mm512_cvtepi32_epi16((__m512i)v);
#else
  typedef T bytes __attribute__((vector_size(W * 4)));
  bytes order{};
  for (int k = 0; k < W; ++k) order[k] = static_cast<T>(k * (4 / sizeof(T)));
  const bytes low = __builtin_shuffle((bytes)v, order);
  vec<T> out;
  std::memcpy(&out, &low, sizeof out);
  return out;
#endif
}
INLINE inline F as_float(I v) { return (F)v; }
INLINE inline I as_bits(F v) { return (I)v; }
template <class T> INLINE inline vec<T> splat(T x) { return x - vec<T>{}; }
template <class T> T* data(const TensorView& t) { return static_cast<T*>(t.data_ptr()); }

// Loads and stores by the type in memory; half precision is computed in float.
template <class T, class Span> INLINE inline vec<T> raw(const T* p, Span span) {
  if constexpr (std::is_same_v<Span, Full>) return vec<T>(*reinterpret_cast<const typename lanes<T>::loose*>(p));
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return (vec<T>)_mm512_maskz_loadu_epi32(first_lanes(span.n), p);
#endif
  vec<T> v{};
  for (int k = 0; k < span.n; ++k) v[k] = p[k];
  return v;
}
template <class T, class Span> INLINE inline auto load(const T* p, Span span) {
  if constexpr (sizeof(T) < 4) return widen<T>(raw(p, span));
  else return raw(p, span);
}
template <class T> struct apart { using type = std::array<T, W>; };
template <class T> using loaded = typename std::conditional_t<std::is_arithmetic_v<T>, lanes<T>, apart<T>>::type;
template <class T, class Index, class Span> INLINE inline auto gather(const T* p, Index at, Span span) {
  loaded<T> v{};
  for (int k = 0; k < span.n; ++k) v[k] = p[at[k]];
  return load(reinterpret_cast<const T*>(&v), Full{});
}
template <class T, class Span> INLINE inline auto load_apart(const T* p, int64_t step, Span span) {  // from lane to lane
  loaded<T> v{};
  for (int k = 0; k < span.n; ++k) v[k] = p[k * step];
  return load(reinterpret_cast<const T*>(&v), Full{});
}
template <class T, class Span> INLINE inline void put(T* p, vec<T> v, Span span) {
  if constexpr (std::is_same_v<Span, Full>) *reinterpret_cast<typename lanes<T>::loose*>(p) = v;
#if defined(__AVX512F__)
  else if constexpr (sizeof(T) == 4) _mm512_mask_storeu_epi32(p, first_lanes(span.n), (__m512i)v);
#endif
  else for (int k = 0; k < span.n; ++k) p[k] = v[k];
}
// Past the caches: for results too large to be read from there again. p must be aligned to the vector.
template <class T> INLINE inline void put_past(T* p, vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof v % 64 == 0) {
    for (size_t k = 0; k < sizeof v; k += 64) _mm512_stream_si512((__m512i*)((char*)p + k), ((__m512i*)&v)[k / 64]);
    return;
  }
#endif
#if defined(__AVX__)
  if constexpr (sizeof v % 32 == 0) {
    for (size_t k = 0; k < sizeof v; k += 32) _mm256_stream_si256((__m256i*)((char*)p + k), ((__m256i*)&v)[k / 32]);
    return;
  }
#endif
#if defined(__SSE2__)
  if constexpr (sizeof v % 16 == 0) {
    for (size_t k = 0; k < sizeof v; k += 16) _mm_stream_si128((__m128i*)((char*)p + k), ((__m128i*)&v)[k / 16]);
    return;
  }
#endif
  put(p, v, Full{});
}
template <class T, class V, class Span> INLINE inline void store(T* p, V v, Span span, bool past = false) {
  vec<T> out;
  if constexpr (std::is_same_v<vec<T>, V>) out = v;
  else if constexpr (std::is_same_v<I, V> && sizeof(T) < 4) out = narrow<T>(v);
  else out = convert<T>(v);
  if constexpr (std::is_same_v<Span, Full>) {
    if (past) return put_past(p, out);
  }
  put(p, out, span);
}
template <class T, class V, class Index, class Span> INLINE inline void scatter(T* p, Index at, V v, Span span) {
  for (int k = 0; k < span.n; ++k) p[at[k]] = static_cast<T>(v[k]);
}
template <class T> bool aligned(const T* p, int64_t row) {
  return reinterpret_cast<uintptr_t>(p) % (W * sizeof(T)) == 0 && row % W == 0;
}
template <class T> INLINE inline void fetch(const T* p) { __builtin_prefetch(p, 0, 2); }  // into the second-level cache
// As fetch, so many bytes further on: where each vector takes long, the processor does not look that far ahead by itself.
template <int BYTES, class T> INLINE inline void fetch_beyond(const T* p) {
  if constexpr (BYTES > 0) fetch(reinterpret_cast<const char*>(p) + BYTES);
}
inline void fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <class Body, int... U> INLINE inline void chains(Body& body, int64_t j, std::integer_sequence<int, U...>) {
  (body(Full{}, j + U * W, std::integral_constant<int, U>{}), ...);
}
// Calls body(span, j, u) for each vector of [begin, end); u counts independent chains 0..U-1. Sums are folded after every
// GROUP vectors: like pairwise summation, that keeps the error of long sums small.
constexpr int64_t GROUP = 16;
template <int U, class Body, class... Sums> INLINE inline void sweep(int64_t begin, int64_t end, Body&& body, Sums&... sums) {
  int64_t j = begin;
  if constexpr (U > 1 || sizeof...(Sums) > 0)
    while (j + U * W <= end) {
      for (const int64_t stop = std::min(j + U * W * GROUP, end); j + U * W <= stop; j += U * W)
        chains(body, j, std::make_integer_sequence<int, U>{});
      (sums.fold(), ...);
    }
  for (; j + W <= end; j += W) body(Full{}, j, std::integral_constant<int, 0>{});
  if (j < end) body(Part{static_cast<int>(end - j)}, j, std::integral_constant<int, 0>{});
  (sums.fold(), ...);
}
template <class V, class Span> INLINE inline V keep(V v, V otherwise, Span span) {  // lanes past the end replaced
  if constexpr (std::is_same_v<Span, Full>) return v;
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == sizeof(F)) return (V)_mm512_mask_mov_epi32((__m512i)otherwise, first_lanes(span.n), (__m512i)v);
#endif
  for (int k = span.n; k < W; ++k) v[k] = otherwise[k];
  return v;
}
// All lanes of a vector joined into one value: halves with each other, then halves of that.
template <class T, class V, class Join> INLINE inline T across(V v, Join join) {
  if constexpr (sizeof(V) == 4 * sizeof(T)) {
    return join(join(T(v[0]), T(v[1])), join(T(v[2]), T(v[3])));
  } else {
    typedef T half __attribute__((vector_size(sizeof(V) / 2)));
    half low, high;
    std::memcpy(&low, &v, sizeof low);
    std::memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
    return across<T>(join(low, high), join);
  }
}
