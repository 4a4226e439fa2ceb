INLINE inline bool outside(int64_t at, int64_t size) { return uint64_t(at) >= uint64_t(size); }
// Every S-th element of a row from position `first` on, and `otherwise` before its beginning and after its end.
template <int S, class T, class V, class Span>
INLINE inline V load_within(const T* row, int64_t first, int64_t size, V otherwise, Span span) {
  const int64_t last = first + S * int64_t(span.n - 1);
  if (!outside(first, size) && !outside(last, size)) return load_every<S>(row + first, span);
  if (std::max(first, last) < 0 || std::min(first, last) >= size) return otherwise;
  V v = otherwise;
  for (int k = 0; k < span.n; ++k)
    if (!outside(first + k * S, size)) {
      loaded<T> one{};
      one[0] = row[first + k * S];
      v[k] = load(reinterpret_cast<const T*>(&one), Full{})[0];
    }
  return v;
}
