#if defined(__AVX512F__)
template <int S> INLINE inline __m512i every() {  // how far each lane is from the first
  I at{};
  for (int k = 0; k < W; ++k) at[k] = k * S;
  return (__m512i)at;
}
#endif
// Every S-th element from p on, backwards where S is negative; nothing beyond the last one is touched.
template <int S, class T, class Span> INLINE inline auto load_every(const T* p, Span span) {
  if constexpr (S == 1) return load(p, span);
  else if constexpr (std::is_arithmetic_v<T> && std::is_same_v<Span, Full> && sizeof(T) == 4 && (S == 2 || S == -1)) {
    vec<int32_t> at{};
    for (int k = 0; k < W; ++k) at[k] = S == -1 ? W - 1 - k : k < W / 2 ? 2 * k : 2 * k + 1;
    const vec<T> low = raw(S == -1 ? p - (W - 1) : p, span), high = S == -1 ? low : raw(p + W - 1, span);
    return vec<T>(__builtin_shuffle(low, high, at));
  }
#if defined(__AVX512F__)
  else if constexpr (std::is_arithmetic_v<T> && sizeof(T) == 4)
    return (vec<T>)_mm512_mask_i32gather_epi32(__m512i{}, first_lanes(span.n), every<S>(), p, 4);
#endif
  else {
    loaded<T> v{};
    for (int k = 0; k < span.n; ++k) v[k] = p[k * S];
    return load(reinterpret_cast<const T*>(&v), Full{});
  }
}
// Writes every S-th element from p on.
template <int S, class T, class V, class Span> INLINE inline void store_every(T* p, V v, Span span) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<vec<T>, V> && sizeof(T) == 4 && S == 2) {
    I low{}, high{};
    for (int k = 0; k < W; ++k) low[k] = k / 2, high[k] = W / 2 + k / 2;
    constexpr __mmask16 even = 0x5555;
    const int n = 2 * span.n;
    _mm512_mask_storeu_epi32(p, even & first_lanes(std::min(n, W)), (__m512i)__builtin_shuffle(v, low));
    if (n > W) _mm512_mask_storeu_epi32(p + W, even & first_lanes(n - W), (__m512i)__builtin_shuffle(v, high));
    return;
  } else if constexpr (std::is_same_v<vec<T>, V> && sizeof(T) == 4) {
    _mm512_mask_i32scatter_epi32(p, first_lanes(span.n), every<S>(), (__m512i)v, 4);
    return;
  }
#endif
  for (int k = 0; k < span.n; ++k) p[k * S] = static_cast<T>(v[k]);
}
