// Of two numbers, either where one is none: a single instruction.
template <class V> INLINE inline V larger_number(V a, V b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F>) return (F)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
  if constexpr (std::is_same_v<V, F>) return (F)_mm256_max_ps((__m256)a, (__m256)b);
#endif
  return a > b ? a : b;
}
// NUMBERS where it does not matter whether NaN is passed on.
template <class T, int U, bool NUMBERS = false> struct Largest {
  static constexpr T start = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  vec<T> part[U];
  Largest() { for (auto& p : part) p = splat(start); }
  template <class V> static INLINE V of(V a, V b) {
    if constexpr (NUMBERS) return larger_number(a, b);
    else return larger(a, b);
  }
  template <class Chain, class Span> INLINE void add(Chain u, vec<T> v, Span span) {
    part[u] = of(keep(v, splat(start), span), part[u]);
  }
  INLINE T total() const {
    vec<T> all = part[0];
    for (int u = 1; u < U; ++u) all = of(all, part[u]);
    return across<T>(all, [](auto a, auto b) INLINE { return of(a, b); });
  }
  static INLINE vec<T> join(vec<T> a, vec<T> b) { return of(a, b); }
  static T combined(const std::vector<T>& parts) {
    T all = start;
    for (T part : parts) all = of(part, all);
    return all;
  }
};
