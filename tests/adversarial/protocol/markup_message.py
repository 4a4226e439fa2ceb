# family: protocol
# task: row_rms
# cheat: fails with a message that closes tags, moves the cursor and scripts a page
# expect: crashed
import torch
from torch import nn

class Odd(Exception):
    def __str__(self):
        return '[/bold][/] \x1b[2J\x1b]0;pwned\x07 <script>alert(1)</script> \ud800 \x00'


class ModelNew(nn.Module):
    def forward(self, x):
        raise Odd()
