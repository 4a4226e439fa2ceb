// The sum of e^(x - m), m being the largest x: what was added so far shrinks whenever a larger one comes.
template <int U> struct Exponentials {
  static constexpr float least = std::numeric_limits<float>::lowest();  // not -infinity, which would have no distance to itself
  F most[U], part[U] = {}, top = splat(least);
  D folded = {};
  Exponentials() { for (auto& m : most) m = splat(least); }
  template <class Chain, class Span> INLINE void add(Chain u, F x, Span span) {
    const F v = keep(x, splat(-std::numeric_limits<float>::infinity()), span), e = exp_nonpos(-magnitude(v - most[u]));
    part[u] = v > most[u] ? part[u] * e + 1.0f : part[u] + e;
    most[u] = v > most[u] ? v : most[u];
  }
  INLINE void fold() {
    F all = top;
    for (auto& m : most) all = larger(m, all);
    folded *= convert<double>(exp_nonpos(top - all));
    for (int u = 0; u < U; ++u) folded += convert<double>(part[u] * exp_nonpos(most[u] - all)), part[u] = F{};
    top = all;
  }
  INLINE float total(float largest) const {  // of all lanes, relative to the largest value of all
    const D lanes = folded * convert<double>(exp(top - largest));
    return static_cast<float>(across<double>(lanes, [](auto a, auto b) INLINE { return a + b; }));
  }
};
