#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""make bench: what exits cost, in instructions, on the bare-metal host under QEMU's instruction counter.

With "-icount shift=0,sleep=off" the time stamp counter counts executed instructions, so results repeat
whatever the build machine does. Prints a table and writes bench.json to the build folder (V3_BUILD).

"bench.py linux" (make bench HOST=linux): the same guests in palacios.ko in a Debian host, and the micro guest on the
bare-metal host, of whose figures each may be LINUX_FACTOR at most. Writes bench-linux.json.

Exit status: 0, or 1 if a figure is missing or above its limit.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("V3_BUILD", os.path.join(TOP, "build")))
QEMU = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot", "-M", "pc",
        "-cpu", "max,la57=off", "-smp", "1", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off",
        "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
HOOKED_PAGE = 32 << 20      # as in micro.c
LINUX_FACTOR = 1.25
# Linux copies with REP MOVSB, of which each byte counts as an instruction here: 4,096 for one disk block alone, 140 for
# a frame.
LINUX_UNLIMITED = ("virtio_blk_4k", "virtio_net_tx_64")
LINUX_ABSENT = ("linux_boot_exits",)    # not measured there

sys.path.insert(0, os.path.join(TOP, "tests", "system", "linux"))
sys.dont_write_bytecode = True
import machine  # noqa: E402

# key: (what, limit). The keys of bench.json that are numbers, in order.
FIGURES = {
    "cpuid": ("CPUID", 600),
    "vmcall": ("hypercall", 600),
    "rdmsr": ("RDMSR trapped (x2APIC TPR)", 600),
    "wrmsr": ("WRMSR trapped (x2APIC TPR)", 600),
    "port_in": ("IN from a device (PM timer)", 600),
    "port_out": ("OUT to a device (PIT)", 600),
    "mmio_read": ("MMIO read: the dearer of the next two", 1200),
    "mmio_write": ("MMIO write: the dearer of the next two", 1200),
    "apic_eoi": ("EOI, local APIC by MMIO", 1200),
    "self_ipi": ("self-IPI: ICR write, delivery, EOI", None),
    "hlt_timer": ("TSC-deadline timer wakes HLT: beyond the deadline", None),
    "virtio_blk_4k": ("virtio disk: 4 KiB read, notification to used buffer", 6000),
    "virtio_net_tx_64": ("virtio network card: 64-byte frame sent, in bursts of 64", 1500),
    "npf_first_touch": ("nested page fault, first touch", 2500),
    "linux_boot_ratio": ("Linux boot to user space, guest / bare machine", 1.15),
    "linux_boot_exits": ("exits of a Linux boot to user space and power-off", 30000),
}
DETAILS = {"mmio_read": ["apic_read", "hook_read"], "mmio_write": ["apic_write", "hook_write"]}


def fail(text, output=""):
    print(output[-3000:], file=sys.stderr)
    sys.exit(f"bench: {text}")


def run(command, timeout):
    """Run a machine to its end: its console as text."""
    try:
        p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=timeout, check=False)
    except subprocess.TimeoutExpired as e:
        fail(f"no end within {timeout} s", (e.stdout or b"").decode("utf-8", "replace"))
    return p.stdout.decode("utf-8", "replace").replace("\r", "")


def qemu(args, timeout):
    return run(QEMU + args, timeout)


def guest(definition, timeout, *options):
    """Run a guest definition on the bare-metal host: its console."""
    p = subprocess.run([os.path.join(TOP, "tests", "run_guest.sh"), "--icount", "--timeout", str(timeout), *options,
                        definition], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       env={**os.environ, "V3_BUILD": BUILD}, check=False)
    out = p.stdout.decode("utf-8", "replace")
    if p.returncode:
        fail(f"{definition} ends with status {p.returncode}", out)
    return out


def figures(output):
    found = {m.group(1): int(m.group(2)) for m in re.finditer(r"\bbench (\w+) (\d+)\s*$", output, re.M)}
    # A counter may start a little below zero.
    return {k: v - (1 << 64) if v >> 63 else v for k, v in found.items()}


def micro():
    folder = os.path.join(BUILD, "bench")
    shutil.copy(os.path.join(HERE, "bench.toml"), folder)
    out = guest(os.path.join(folder, "bench.toml"), 300, "--append", f"hook={HOOKED_PAGE}")
    found = figures(out)
    if "bench done" not in out:
        fail("the bench guest did not finish", out)
    found["apic_read"], found["apic_write"] = found.pop("mmio_read", None), found.pop("mmio_write", None)
    for key, parts in DETAILS.items():
        values = [found[p] for p in parts if found.get(p) is not None]
        if len(values) == len(parts):
            found[key] = max(values)
    if found.get("hook_read", 0) < 50:
        fail("the host did not hook the page", out)
    return found


def exits(output):
    """Of the statistics that a guest left: {reason: (count, cycles)}."""
    return {m.group(1): (int(m.group(2)), int(m.group(3)))
            for m in re.finditer(r"stats:   ([a-z_]+) +(\d+) +(\d+) +\d+ +\d+$", output, re.M)}


def linux():
    """Instructions from the kernel's start to user space: (as guest, on the bare machine), and the guest's exits.

    lapic=notscdeadline on the command line makes both measure their APIC timer alike (the bare machine has no
    TSC-deadline timer). The bare machine has some more devices to probe. The exits are counted until power-off.
    """
    debian = os.path.join(BUILD, "debian")
    with open(os.path.join(debian, "tsc.toml"), encoding="utf-8") as f:
        definition = f.read()
    cmdline = re.search(r'^cmdline = "(.*)"$', definition, re.M).group(1)
    memory = re.search(r'^memory = "(.*)"$', definition, re.M).group(1)

    # The firmware's share: how far the counter is when a kernel starts.
    start = figures(qemu(["-m", memory, "-debugcon", "file:/dev/stdout", "-kernel",
                          os.path.join(BUILD, "bench", "micro.elf")], 60))
    bare_out = qemu(["-m", memory, "-kernel", os.path.join(debian, "vmlinuz"), "-initrd",
                     os.path.join(debian, "initramfs.cpio"), "-append", cmdline], 300)
    bare = figures(bare_out)
    if "linux_tsc" not in bare or "entry_tsc" not in start:
        fail("the bare machine did not boot Linux", bare_out)
    out = guest(os.path.join(debian, "tsc.toml"), 300, "--stats")
    as_guest = figures(out)
    if "linux_tsc" not in as_guest:
        fail("the guest did not boot Linux", out)
    return as_guest["linux_tsc"], bare["linux_tsc"] - start["entry_tsc"], exits(out)


def linux_host():
    """The figures of a Debian host that runs the bench guest and boots Debian as a guest. Of three runs the least: the
    host has work of its own, such as its tick. No page is hooked there: MMIO is the local APIC's."""
    debian = os.path.join(BUILD, "debian")
    with tempfile.TemporaryDirectory() as work:
        images = [machine.pack(os.path.join(BUILD, "bench", "bench.toml"), os.path.join(work, "bench.v3i")),
                  machine.pack(os.path.join(debian, "tsc.toml"), os.path.join(work, "tsc.v3i"))]
        initramfs = machine.make_initramfs(work, images)
        command = machine.command(initramfs, " job=bench_steps tsc_early_khz=1000000", ["-m", "2048", "-smp", "1"])
        out = run([*command, "-icount", "shift=0,sleep=off", "-serial", "stdio"], 400)
    os.makedirs(os.path.join(BUILD, "check"), exist_ok=True)
    with open(os.path.join(BUILD, "check", "bench-linux.log"), "w", encoding="utf-8") as f:
        f.write(out)
    runs = [figures(part) for part in out.split("bench done")]
    found = {key: min(r[key] for r in runs if key in r) for r in runs for key in r}
    for part in sum(DETAILS.values(), []):
        found.pop(part, None)
    if len(runs) != 4 or "linux_tsc" not in found:
        fail("the guests did not finish in the Linux host", out)
    return found


def mark(value, limit):
    if value is None:
        return "MISSING"
    if limit is None:
        return ""
    return "pass" if value <= limit else "OVER"


def baremetal():
    """(figures, a sentence about the Linux boot) on the bare-metal host."""
    found = micro()
    as_guest, bare, reasons = linux()
    inside = sum(cycles for _, cycles in reasons.values())
    top = sorted(reasons, key=lambda r: -reasons[r][0])[:6]
    # The guest's counter starts at its creation; its loader is part of the boot, as the firmware is not.
    as_guest -= found["entry_tsc"]
    found["linux_boot_ratio"] = round(as_guest / bare, 4)
    found["linux_bare"] = bare
    if reasons:
        found["linux_boot_exits"] = sum(count for count, _ in reasons.values())
    return found, (f"Linux boot: {as_guest / 1e6:.0f} M instructions as guest ({inside / 1e6:.1f} M of them in exits), "
                   f"{bare / 1e6:.0f} M on the bare machine\n"
                   f"Linux boot, exits: {', '.join(f'{r} {reasons[r][0]}' for r in top)}")


def limits_of(base):
    """For the Linux host, from the bare-metal host's figures."""
    base = {**base, "mmio_read": base["apic_read"], "mmio_write": base["apic_write"]}
    return {key: base[key] * LINUX_FACTOR if limit and base.get(key) and key not in LINUX_UNLIMITED else None
            for key, (_, limit) in FIGURES.items() if key not in LINUX_ABSENT}


def report(found, limits):
    """Print the table. @return number of figures that are missing or over their limit"""
    print(f"\n{'operation':<18}{'instructions':>13}{'limit':>8}")
    bad = 0
    for key, limit in limits.items():
        value, what = found.get(key), FIGURES[key][0]
        verdict = mark(value, limit)
        bad += verdict in ("MISSING", "OVER")
        shown = "-" if limit is None else f"{limit:.6g}" if limit < 2 else f"{limit:.0f}"
        parts = [part for part in DETAILS.get(key, ()) if part in found]
        what = what if parts else what.split(":")[0] if key in DETAILS else what
        print(f"{key:<18}{value if value is not None else '-':>13}{shown:>8}  {verdict:<8}{what}")
        for part in parts:
            print(f"  {part:<16}{found[part]:>13}")
    return bad


def write(name, host, found):
    result = {"schema": 1, "host": host, "machine": "qemu-svm"}
    result.update({key: found.get(key) for key in FIGURES})
    path = os.path.join(BUILD, name)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    print(f"written to {os.path.relpath(path)}")


def main():
    base, boot = baremetal()
    if sys.argv[1:] == ["linux"]:
        found = linux_host()
        found["linux_boot_ratio"] = round((found["linux_tsc"] - found["entry_tsc"]) / base["linux_bare"], 4)
        bad = report(found, limits_of(base))
        write("bench-linux.json", "linux", found)
    else:
        bad = report(base, {key: limit for key, (_, limit) in FIGURES.items()})
        print(boot)
        write("bench.json", "baremetal", base)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
