"""Recorded graphs as machine code, without a compiler on the user's machine.

A graph of tensor operations on known shapes becomes loops over flat memory, the loops become LLVM IR, and that an address:

    Graph      ppgen/straightline.py
      |        translate: a rule per operation; pointwise, movement, indexing, reductions, linear, sorting, looping
      |        placement, nest: where tensors stand, which loops compute what; algebra, scans, writer: loops written by hand
    Program    ir: the loops, printed as Python and run by Python
      |        passes, each Program -> Program: fusion, jamming, forwarding, unrolling, registers;
      |        dependence: what may change places; rewriting: copies with other names
    LLVM IR    llvm, with the functions of math (math_*)
      |        machine: object code by llvmlite; cache: object code on disk
    address    kernel: bound to data, called from Python; calling: called from compiled Python, as samplers do;
               entry: the samplers themselves, which Numba compiles once per machine

Files import only from above them, and kernel.py is what the rest of ppgen imports.
"""
