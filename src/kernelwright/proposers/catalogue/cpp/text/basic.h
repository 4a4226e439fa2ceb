// Maximum and minimum that pass NaN on, as torch's do.
template <class V> INLINE inline V larger(V a, V b) { return (a > b) | (a != a) ? a : b; }
template <class V> INLINE inline V smaller(V a, V b) { return (a < b) | (a != a) ? a : b; }
template <class V> INLINE inline V at_least(V a, V limit) { return a < limit ? limit : a; }  // limits are never NaN
template <class V> INLINE inline V at_most(V a, V limit) { return a > limit ? limit : a; }
template <class V> INLINE inline V pick(M m, V yes, V no) {
  if constexpr (sizeof(V) == sizeof(M)) return m ? yes : no;
  else return convert<int64_t>(m) ? yes : no;
}
template <class V> INLINE inline M mask(V comparison) { return convert<int32_t>(comparison); }
template <class V> INLINE inline V magnitude(V v) { return v < 0 ? -v : v; }
INLINE inline F magnitude(F v) { return as_float(as_bits(v) & 0x7FFFFFFF); }
// Whether any lane is true.
INLINE inline bool any(M m) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)m);
#elif defined(__AVX__)
  return _mm256_movemask_ps((__m256)m);
#else
  int32_t all = 0;
  for (int k = 0; k < W; ++k) all |= m[k];
  return all;
#endif
}
INLINE inline F root(F v) {
#if defined(__AVX512F__)
  return (F)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX__)
  return (F)_mm256_sqrt_ps((__m256)v);
#else
  for (int k = 0; k < W; ++k) v[k] = std::sqrt(v[k]);
  return v;
#endif
}
template <class V> INLINE inline V root(V v) {
  for (int k = 0; k < W; ++k) v[k] = std::sqrt(v[k]);
  return v;
}
template <class V, class Function> INLINE inline V lanewise(V v, Function f) {
  for (int k = 0; k < W; ++k) v[k] = f(v[k]);
  return v;
}
template <class V, class Function> INLINE inline V lanewise(V a, V b, Function f) {
  for (int k = 0; k < W; ++k) a[k] = f(a[k], b[k]);
  return a;
}
template <class T> INLINE inline vec<T> positions(int64_t first) {
  vec<T> lane{};
  for (int k = 0; k < W; ++k) lane[k] = k;
  return splat(static_cast<T>(first)) + lane;
}
