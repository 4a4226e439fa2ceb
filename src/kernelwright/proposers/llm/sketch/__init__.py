"""The unified sketch: how a kernel divides its work, written down before the kernel is, in no language in particular.

After the unified sketch of AKG (arXiv 2512.23424, sketch design), which is a form that a model is asked to keep to;
here it has a grammar, and what does not hold goes back to the model. One statement a line, blocks by indentation, `#`
begins a comment:

    sketch     = "sketch" NAME {statement}
    statement  = symbol | tensor | alloc | loop | load | store | compute | leave
    symbol     = "symbol" NAME ["=" INT]
    tensor     = ("input" | "output") NAME ":" type
    alloc      = "alloc" NAME ":" type "in" MEMORY
    type       = DTYPE "[" [expression {"," expression}] "]"
    loop       = "for" NAME "in" expression ".." expression ["step" expression] ["tail"] {hint} ":" BLOCK
    hint       = "@" NAME ["(" INT ")"]
    load       = "load" NAME "<-" region ["clip"]
    store      = "store" NAME "->" region
    region     = NAME "[" [index {"," index}] "]"
    index      = ":" | "?" | expression [":" expression]
    compute    = "compute" NAME {"," NAME} ["from" NAME {"," NAME}] ":" TEXT
    leave      = "leave" ["from" NAME {"," NAME}] ":" TEXT
    expression = product {("+" | "-") product}
    product    = factor {"*" factor}
    factor     = INT | NAME | "(" expression ")" | "min" "(" expression "," expression ")"

`parse` makes a `Sketch` of a text, `check` finds what cannot be right in it.
"""

from kernelwright.proposers.llm.sketch.check import check, memories
from kernelwright.proposers.llm.sketch.nodes import Problem, Sketch
from kernelwright.proposers.llm.sketch.parse import SketchError, parse

__all__ = ["Problem", "Sketch", "SketchError", "check", "memories", "parse"]
