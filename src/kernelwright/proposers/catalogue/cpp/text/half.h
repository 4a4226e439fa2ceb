// bfloat16 is the upper half of a float; stores round to nearest even.
struct bf16 {
  uint16_t bits;
  bf16() = default;
  explicit bf16(float x) {
    uint32_t b;
    std::memcpy(&b, &x, 4);
    bits = x != x ? 0x7FC0 : (b + 0x7FFF + ((b >> 16) & 1)) >> 16;
  }
  operator float() const {
    const uint32_t b = uint32_t(bits) << 16;
    float x;
    std::memcpy(&x, &b, 4);
    return x;
  }
};
template <class Span> INLINE inline F load(const bf16* p, Span span) {
  return as_float(load(reinterpret_cast<const uint16_t*>(p), span) << 16);
}
template <class Span> INLINE inline void store(bf16* p, F v, Span span, bool past = false) {
  const I b = as_bits(v), rounded = (b + 0x7FFF + ((b >> 16) & 1)) >> 16;
  store(reinterpret_cast<uint16_t*>(p), v != v ? splat<int32_t>(0x7FC0) : rounded, span, past);
}
