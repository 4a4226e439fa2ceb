from __future__ import annotations

from language_worker import in_worker, load

from kernelwright.languages.cpp import Cpp

CANDIDATE = '''import torch
import tvm_ffi.cpp
from torch import nn

PARAMS = {"UNROLL": 4, "STREAM": 1}
CPP = "".join(f"#define {k} {v}\\n" for k, v in PARAMS.items()) + r"""
#include <cmath>
void first(tvm::ffi::TensorView x) {
  int unused = UNROLL;
}
void second(tvm::ffi::TensorView x) {
  float total = 0;
  MISTAKE
}
"""
kernels = tvm_ffi.cpp.load_inline("k", cpp_sources=CPP, functions=["first", "second"])
class ModelNew(nn.Module):
    def forward(self, x):
        return x
'''


def build_output(source, folder):
    kind, message = in_worker(load_nothing, source, str(folder))
    assert kind == "RuntimeError"
    return message


def load_nothing(source, folder):
    load(source, folder, False)


def test_an_error_is_mapped_to_the_line_of_the_python_file(tmp_path):
    source = CANDIDATE.replace("MISTAKE", "total += undeclared;")
    problem = Cpp().explain(source, build_output(source, tmp_path))
    assert problem.line == 13
    assert problem.text == "total += undeclared;"
    assert "undeclared" in problem.message
    assert str(tmp_path) not in problem.output
    assert problem.output.startswith("main.cpp:")


def test_a_name_that_the_cpp_does_not_define_points_at_load_inline(tmp_path):
    source = CANDIDATE.replace("MISTAKE", "").replace('["first", "second"]', '["first", "third"]')
    problem = Cpp().explain(source, build_output(source, tmp_path))
    assert "third" in problem.message
    assert problem.line == source.splitlines().index(problem.text) + 1
    assert problem.text.startswith("kernels = tvm_ffi.cpp.load_inline")


def test_an_error_inside_a_header_points_at_the_line_that_used_it():
    source = CANDIDATE.replace("MISTAKE", "std::vector<int&> v;")
    output = """ninja exited with status 1
stdout:
[1/2] c++ -MMD -c /tmp/x/main.cpp -o cpp_0.o
FAILED: cpp_0.o
In file included from /usr/include/c++/12/vector:61,
                 from /tmp/x/main.cpp:1:
/usr/include/c++/12/ext/new_allocator.h: In instantiation of 'class std::__new_allocator<int&>':
/tmp/x/main.cpp:16:21:   required from here
   16 |   std::vector<int&> v;
/usr/include/c++/12/ext/new_allocator.h:63:26: error: forming pointer to reference type 'int&'
   63 |       typedef _Tp*       pointer;
      |                          ^~~~~~~
"""
    problem = Cpp().explain(source, output)
    assert problem.message == "forming pointer to reference type 'int&'"
    assert (problem.line, problem.text) == (13, "std::vector<int&> v;")
    assert "/tmp/x" not in problem.output
    assert "[1/2]" not in problem.output


def test_equal_lines_are_told_apart_by_their_place():
    source = 'CPP = r"""\nvoid f() {\n  g();\n}\nvoid h() {\n  g();\n}\n"""\nm = tvm_ffi.cpp.load_inline("m")\n'
    output = "main.cpp:12:3: error: 'g' was not declared in this scope\n   12 |   g();\n      |   ^\n"
    assert Cpp().explain(source, output).line == 6
    assert Cpp().explain(source, output.replace("12", "9")).line == 3


def test_a_linker_error_has_a_message_and_no_line():
    output = "FAILED: k.so\n/usr/bin/ld: cpp_0.o: in function `f': main.cpp:(.text+0x1): undefined reference to `g()'\n"
    problem = Cpp().explain("x = 1\n", output)
    assert problem.message == "undefined reference to `g()'"
    assert problem.line == 0


def test_clang_output_is_understood():
    source = 'CPP = r"""\nvoid f() { return 1; }\n"""\n'
    output = "/b/main.cpp:7:12: error: void function 'f' should not return\n    7 | void f() { return 1; }\n"
    problem = Cpp().explain(source, output)
    assert (problem.line, problem.text) == (2, "void f() { return 1; }")


def test_output_without_an_error_still_says_something():
    assert Cpp().explain("", "ninja: fatal: out of memory\nKilled").message == "Killed"


def test_what_is_no_compilers_output_is_not_explained():
    assert not Cpp().explain("", "ValueError: no").message


def test_a_folder_may_have_a_bracket_in_its_name():
    found = Cpp().explain("x = 1", "/home/a (1)/b/main.cpp:8:18: error: 'y' was not declared in this scope")
    assert found.message == "'y' was not declared in this scope"
    assert found.output.startswith("/home/a (1)/b/main.cpp:8:18:") or found.output.startswith("/home/a (1)main.cpp")


def test_what_a_candidate_says_about_paths_is_read_in_one_go():
    # Time quadratic in its length would be hours.
    assert Cpp().explain("x = 1", "ninja\n" + "/a" * 1_000_000).message
