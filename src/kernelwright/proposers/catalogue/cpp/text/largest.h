template <class T, int U> struct Largest {
  static constexpr T start = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  vec<T> part[U];
  Largest() { for (auto& p : part) p = splat(start); }
  template <class Chain, class Span> INLINE void add(Chain u, vec<T> v, Span span) {
    part[u] = larger(keep(v, splat(start), span), part[u]);
  }
  INLINE T total() const {
    vec<T> all = part[0];
    for (int u = 1; u < U; ++u) all = larger(all, part[u]);
    return across<T>(all, [](auto a, auto b) INLINE { return larger(a, b); });
  }
  static INLINE vec<T> join(vec<T> a, vec<T> b) { return larger(a, b); }
  static T combined(const std::vector<T>& parts) {
    T all = start;
    for (T part : parts) all = larger(part, all);
    return all;
  }
};
