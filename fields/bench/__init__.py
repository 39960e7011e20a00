"""Measurements: `fields bench NAME`. Every number that the README quotes is printed by one of them.

kernels   our kernels against torch, torch.compile and Dr.Jit, and the peak of this machine
image     seconds to 30, 35 and 40 dB, and PSNR after so many seconds
"""
