// The position of the largest (else smallest) value: the first where several are equal, NaN before everything else.
template <class T, bool largest> struct Best {
  T value;
  int64_t at;
  INLINE void add(T v, int64_t where) {
    if constexpr (std::is_floating_point_v<T>)
      if (v != v && value != value) { at = std::min(at, where); return; }
    const bool better = (largest ? v > value : v < value) || (v != v && value == value);
    if (better || (v == value && where < at)) value = v, at = where;
  }
};
template <class T, int U, bool largest> struct ArgBest {
  using Index = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  vec<T> value[U];
  vec<Index> at[U] = {};
  ArgBest() { for (auto& v : value) v = splat(start); }
  static constexpr T start = std::is_floating_point_v<T>
      ? (largest ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity())
      : (largest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max());
  template <class Chain, class Span> INLINE void add(Chain u, vec<T> v, int64_t first, Span span) {
    const vec<T> now = value[u];
    auto better = ~(largest ? v <= now : v >= now) & (now == now);  // NaN beats everything but an earlier NaN
    better = keep(better, decltype(better){}, span);
    value[u] = better ? v : now;
    at[u] = better ? positions<Index>(first) : at[u];
  }
  Best<T, largest> total() const {
    Best<T, largest> best{start, std::numeric_limits<int64_t>::max()};
    for (int u = 0; u < U; ++u)
      for (int k = 0; k < W; ++k) best.add(value[u][k], at[u][k]);
    return best;
  }
  static int64_t combined(const std::vector<Best<T, largest>>& parts) {
    Best<T, largest> best{start, std::numeric_limits<int64_t>::max()};
    for (const auto& part : parts) best.add(part.value, part.at);
    return best.at;
  }
};
