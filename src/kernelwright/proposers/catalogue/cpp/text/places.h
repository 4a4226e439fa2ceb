// Positions as distances from `begin`, as far as 32 bits hold them.
template <class Span> INLINE inline I beyond(int64_t begin, const int64_t* at, Span span) {
#if defined(__AVX512F__)
  const __mmask16 lanes = first_lanes(span.n);
  const __m512i low = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(lanes), at), from = _mm512_set1_epi64(begin);
  const __m512i high = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(lanes >> 8), at + 8);
  const __m256i one = _mm512_cvtepi64_epi32(_mm512_sub_epi64(low, from)), two = _mm512_cvtepi64_epi32(_mm512_sub_epi64(high, from));
  return (I)_mm512_inserti64x4(_mm512_castsi256_si512(one), two, 1);
#else
  I found{};
  for (int k = 0; k < span.n; ++k) found[k] = static_cast<int32_t>(at[k] - begin);
  return found;
#endif
}
// Elements of a row at the positions `at`: those that are not far apart are picked from two vectors that follow each other.
template <class T, class Span> INLINE inline auto load_places(const T* row, int64_t size, const int64_t* at, Span span) {
  if constexpr (std::is_arithmetic_v<T> && sizeof(T) == 4) {
    const int64_t near = std::min(at[0], at[span.n - 1]) - W / 2, begin = std::max<int64_t>(0, std::min(near, size - 2 * W));
    const I from = beyond(begin, at, span);
    const M far = keep(M(vec<uint32_t>(from) >= uint32_t(2 * W)), M{}, span);
    if (size >= 2 * W && size <= std::numeric_limits<int32_t>::max() && !any(far))
      return vec<T>(__builtin_shuffle(raw(row + begin, Full{}), raw(row + begin + W, Full{}), from));
  }
  return gather(row, at, span);
}
