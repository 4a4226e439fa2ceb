INLINE inline bool outside(int64_t at, int64_t size) { return uint64_t(at) >= uint64_t(size); }
// Every S-th element of a row from position `first` on, and `otherwise` before its beginning and after its end.
template <int S, class T, class V, class Span>
INLINE inline V load_within(const T* row, int64_t first, int64_t size, V otherwise, Span span) {
  const int64_t last = first + S * int64_t(span.n - 1);
  if (!outside(first, size) && !outside(last, size)) return load_every<S>(row + first, span);
  if (std::max(first, last) < 0 || std::min(first, last) >= size) return otherwise;
#if defined(__AVX512F__)
  if constexpr (std::is_arithmetic_v<T> && sizeof(T) == 4 && S > 0) {
    const int begin = first < 0 ? int((S - 1 - first) / S) : 0;
    const int end = last < size ? span.n : int((S - 1 + size - first) / S);
    const __mmask16 inside = first_lanes(end) & ~first_lanes(begin);
    if constexpr (S == 1) return (V)_mm512_mask_loadu_epi32((__m512i)otherwise, inside, row + first);
    else return (V)_mm512_mask_i32gather_epi32((__m512i)otherwise, inside, every<S>(), row + first, 4);
  }
#endif
  V v = otherwise;
  for (int k = 0; k < span.n; ++k)
    if (!outside(first + k * S, size)) {
      loaded<T> one{};
      one[0] = row[first + k * S];
      v[k] = load(reinterpret_cast<const T*>(&one), Full{})[0];
    }
  return v;
}
