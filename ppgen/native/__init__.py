"""Recorded graphs as machine code: graph -> loops (ir) -> LLVM -> an address, without a compiler on the user's machine."""
