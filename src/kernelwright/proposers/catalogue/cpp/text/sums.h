template <class T, int U> struct Sum {  // U x W running sums, folded now and then so that none grows long
  static constexpr T start = 0;
  vec<T> part[U] = {}, folded = {};
  INLINE void fold() {
    for (int step = 1; step < U; step *= 2)
      for (int u = 0; u + step < U; u += 2 * step) part[u] += part[u + step];
    folded += part[0];
    for (auto& p : part) p = vec<T>{};
  }
  template <class Chain, class Span> INLINE void add(Chain u, vec<T> v, Span span) { part[u] += keep(v, vec<T>{}, span); }
  INLINE T total() const {
    vec<T> all = folded;
    for (int k = W / 2; k > 0; k /= 2)
      for (int i = 0; i < k; ++i) all[i] += all[i + k];
    return all[0];
  }
  static INLINE vec<T> join(vec<T> a, vec<T> b) { return a + b; }
  static T combined(const std::vector<T>& parts) {
    std::conditional_t<std::is_floating_point_v<T>, double, T> all = 0;
    for (T part : parts) all += part;
    return static_cast<T>(all);
  }
};
// Moves a group's sums for columns [begin, end) to the total.
template <class T> void add_group(T* total, T* group, int64_t begin, int64_t end) {
  sweep<1>(begin, end, [&](auto span, int64_t j, auto) INLINE {
    store(total + j, load(total + j, span) + load(group + j, span), span);
    store(group + j, vec<T>{}, span);
  });
}
