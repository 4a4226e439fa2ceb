template <class T, int U> struct Product {
  static constexpr T start = 1;
  vec<T> part[U];
  Product() { for (auto& p : part) p = splat(T(1)); }
  template <class Chain, class Span> INLINE void add(Chain u, vec<T> v, Span span) { part[u] *= keep(v, splat(T(1)), span); }
  INLINE T total() const {
    vec<T> all = part[0];
    for (int u = 1; u < U; ++u) all *= part[u];
    return across<T>(all, [](auto a, auto b) INLINE { return a * b; });
  }
  static INLINE vec<T> join(vec<T> a, vec<T> b) { return a * b; }
  static T combined(const std::vector<T>& parts) {
    T all = 1;
    for (T part : parts) all *= part;
    return all;
  }
};
