template <class T, int U> struct Smallest {
  static constexpr T start = std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  vec<T> part[U];
  Smallest() { for (auto& p : part) p = splat(start); }
  template <class Chain, class Span> INLINE void add(Chain u, vec<T> v, Span span) {
    part[u] = smaller(keep(v, splat(start), span), part[u]);
  }
  INLINE T total() const {
    vec<T> all = part[0];
    for (int u = 1; u < U; ++u) all = smaller(all, part[u]);
    return across<T>(all, [](auto a, auto b) INLINE { return smaller(a, b); });
  }
  static INLINE vec<T> join(vec<T> a, vec<T> b) { return smaller(a, b); }
  static T combined(const std::vector<T>& parts) {
    T all = start;
    for (T part : parts) all = smaller(part, all);
    return all;
  }
};
