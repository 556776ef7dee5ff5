"""What Python's tarfile and libarchive make of archives, in one line for each
entry. Reads a file of archives, each behind its length in 8 bytes.

    = NUMBER READER ok|refused     then, for each entry,
    KIND PATH ...                  see `line` below
"""
import ctypes
import ctypes.util
import hashlib
import io
import os
import struct
import sys
import tarfile
from decimal import ROUND_FLOOR, Decimal

MOST = 1 << 26


def normal(name):
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    return b"/".join(parts).hex() or "-"


def line(kind, path, mode, uid, gid, time, link=b"", size=0, device=(0, 0), digest=""):
    path = normal(path)
    mode = oct(mode & 0o7777)[2:]
    if kind == "h":
        return f"h {path} {normal(link)}"
    if kind == "l":
        return f"l {path} {uid} {gid} {time} {link.hex() or '-'}"
    if kind == "f":
        return f"f {path} {mode} {uid} {gid} {time} {size} {digest}"
    if kind in "cb":
        return f"{kind} {path} {mode} {uid} {gid} {time} {device[0]}:{device[1]}"
    return f"{kind} {path} {mode} {uid} {gid} {time}"


def python(data):
    kinds = {b"1": "h", b"2": "l", b"3": "c", b"4": "b", b"5": "d", b"6": "p"}
    lines = []
    archive = tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape")
    for member in archive:
        kind = kinds.get(member.type, "f")
        time = Decimal(member.pax_headers.get("mtime", int(member.mtime)))
        time = int(time.to_integral_value(ROUND_FLOOR))
        digest = ""
        if kind == "f":
            if member.size > MOST:
                raise ValueError("too large for this test")
            content = archive.extractfile(member).read()
            if len(content) != member.size:
                raise ValueError("a short file")
            digest = hashlib.sha256(content).hexdigest()
        lines.append(line(
            kind, os.fsencode(member.name), member.mode, member.uid, member.gid, time,
            os.fsencode(member.linkname), member.size, (member.devmajor, member.devminor), digest))
    return lines


LIB = ctypes.CDLL(ctypes.util.find_library("archive") or "libarchive.so.13")
for name, result in {
    "archive_read_new": ctypes.c_void_p,
    "archive_entry_pathname": ctypes.c_char_p,
    "archive_entry_hardlink": ctypes.c_char_p,
    "archive_entry_symlink": ctypes.c_char_p,
    "archive_entry_size": ctypes.c_int64,
    "archive_entry_mtime": ctypes.c_int64,
    "archive_entry_uid": ctypes.c_int64,
    "archive_entry_gid": ctypes.c_int64,
    "archive_entry_filetype": ctypes.c_uint,
    "archive_entry_perm": ctypes.c_uint,
    "archive_entry_rdevmajor": ctypes.c_uint64,
    "archive_entry_rdevminor": ctypes.c_uint64,
    "archive_read_data": ctypes.c_ssize_t,
    "archive_error_string": ctypes.c_char_p,
}.items():
    getattr(LIB, name).restype = result
LIB.archive_read_data.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
LIB.archive_read_open_memory.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
OK, EOF, WARN = 0, 1, -20
TYPES = {0o100000: "f", 0o120000: "l", 0o020000: "c", 0o060000: "b", 0o040000: "d", 0o010000: "p"}
BUFFER = ctypes.create_string_buffer(1 << 20)


def libarchive(data):
    reader = ctypes.c_void_p(LIB.archive_read_new())
    try:
        LIB.archive_read_support_format_tar(reader)
        LIB.archive_read_support_format_empty(reader)

        def check(code):
            if code not in (OK, EOF, WARN):
                raise ValueError(LIB.archive_error_string(reader))
            return code

        check(LIB.archive_read_open_memory(reader, data, len(data)))
        lines = []
        entry = ctypes.c_void_p()
        while check(LIB.archive_read_next_header(reader, ctypes.byref(entry))) != EOF:
            path = LIB.archive_entry_pathname(entry)
            hard = LIB.archive_entry_hardlink(entry)
            kind = "h" if hard is not None else TYPES.get(LIB.archive_entry_filetype(entry), "?")
            link = hard if hard is not None else LIB.archive_entry_symlink(entry)
            size = LIB.archive_entry_size(entry)
            digest, length = hashlib.sha256(), 0
            while True:
                got = LIB.archive_read_data(reader, BUFFER, len(BUFFER))
                if got < 0:
                    if got == WARN:
                        continue
                    raise ValueError(LIB.archive_error_string(reader))
                if got == 0:
                    break
                digest.update(BUFFER[:got])
                length += got
                if length > MOST:
                    raise ValueError("too large for this test")
            if kind == "f" and length < size <= MOST:
                digest.update(bytes(size - length))
            lines.append(line(
                kind, path or b"", LIB.archive_entry_perm(entry), LIB.archive_entry_uid(entry),
                LIB.archive_entry_gid(entry), LIB.archive_entry_mtime(entry), link or b"", size,
                (LIB.archive_entry_rdevmajor(entry), LIB.archive_entry_rdevminor(entry)),
                digest.hexdigest()))
        return lines
    finally:
        LIB.archive_read_free(reader)


def main():
    with open(sys.argv[1], "rb") as file:
        number = 0
        while length := file.read(8):
            data = file.read(struct.unpack("<Q", length)[0])
            for name, reader in (("python", python), ("libarchive", libarchive)):
                try:
                    lines = reader(data)
                    print(f"= {number} {name} ok")
                    for text in lines:
                        print(text)
                except Exception as error:  # Whatever it is, the archive is refused.
                    print(f"= {number} {name} refused {type(error).__name__}")
            number += 1


main()
