"""Parts of programs whose memory is known."""

TOUCHED = """
import mmap
def touched(size):
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, size, mmap.PAGESIZE):
        block[page] = 1
    return block
"""
