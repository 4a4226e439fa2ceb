// Long sums of floats are folded into doubles now and then.
template <class T> using Wide = std::conditional_t<std::is_same_v<T, float>, double, T>;
template <class T, int U> struct Sum {  // U x W running sums
  static constexpr T start = 0;
  vec<T> part[U] = {};
  vec<Wide<T>> folded = {};
  INLINE void fold() {
    vec<T> all = part[0];
    for (int u = 1; u < U; ++u) all += part[u];
    folded += convert<Wide<T>>(all);
    for (auto& p : part) p = vec<T>{};
  }
  template <class Chain, class Span> INLINE void add(Chain u, vec<T> v, Span span) { part[u] += keep(v, vec<T>{}, span); }
  INLINE T total() const {
    return static_cast<T>(across<Wide<T>>(folded, [](auto a, auto b) INLINE { return a + b; }));
  }
  static INLINE vec<T> join(vec<T> a, vec<T> b) { return a + b; }
  static T combined(const std::vector<T>& parts) {
    Wide<T> all = 0;
    for (T part : parts) all += part;
    return static_cast<T>(all);
  }
};
// Moves the sums of a few rows, for columns [begin, end), to the total.
template <class T> void fold_columns(Wide<T>* total, T* group, int64_t begin, int64_t end) {
  sweep<1>(begin, end, [=](auto span, int64_t j, auto) INLINE {
    store(total + j, load(total + j, span) + convert<Wide<T>>(load(group + j, span)), span);
    store(group + j, vec<T>{}, span);
  });
}
