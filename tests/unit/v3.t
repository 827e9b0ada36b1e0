#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The v3 command without a module: its command line, messages, JSON and terminal, on the device of tests/fake_device/.

V3_BUILD names the build folder (default: build).
"""
import fcntl
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("V3_BUILD", "build"))
V3 = os.path.join(BUILD, "unit", "v3")
PAGE = os.path.join(TOP, "linux_module", "tools", "v3.1")
# A multiboot kernel without code: a flat one at 1 MiB, the header at offset 0.
KERNEL = bytes.fromhex("02b0ad1b00000100fe4f51e4" "0000100000001000" "0000000000000000" "20001000").ljust(4096, b"\0")
DEFINITION = '[vm]\nname = "t"\nmemory = "16M"\n[boot]\ntype = "multiboot"\nkernel = "kernel.bin"\n'
DISKS = ('[[device]]\nclass = "virtio_blk"\nfile = "{0}"\n'
         '[[device]]\nclass = "virtio_blk"\nfile = "base"\nread_only = true\n')
COMMANDS = ("doctor run create start pause continue reset stop destroy list info console stats top dump move memory "
            "version").split()

count = failures = 0


class Run:
    """One run of the command, from folder @p cwd."""

    def __init__(self, *args, device="", env=None, stdin=""):
        log = os.path.join(os.getcwd(), "log")
        if os.path.exists(log):
            os.remove(log)
        p = subprocess.run([V3, *args], input=stdin.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=60, check=False,
                           env={**os.environ, "LC_ALL": "C", "FAKE_DEVICE": device, "FAKE_LOG": log, **(env or {})})
        self.args, self.status, self.raw = args, p.returncode, p.stdout
        self.out = p.stdout.decode("utf-8", "replace")
        self.err = p.stderr.decode("utf-8", "replace")
        self.log = open(log, encoding="utf-8").read().splitlines() if os.path.exists(log) else []

    def json(self):
        return json.loads(self.raw.decode("utf-8"))

    def said(self, *wanted):
        return all(re.search(w, self.out + self.err, re.M) for w in wanted)

    def __str__(self):
        return f"v3 {' '.join(self.args)}: status {self.status}, calls {self.log}\n{self.out}{self.err}"


def result(ok, title, *runs):
    global count, failures
    count += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - v3: {title}", flush=True)
    if not ok:
        for line in "\n".join(map(str, runs)).splitlines():
            print(f"# {line}", file=sys.stderr)


def check(title, status, args, *wanted, judge=None, **kw):
    """One run: its status, texts in its output, and what @p judge says of it."""
    run = Run(*args.split(), **kw)
    try:
        good = run.status == status and run.said(*wanted) and (not judge or judge(run))
    except (ValueError, KeyError, IndexError) as err:
        good, run.err = False, f"{run.err}\n{err!r}"
    result(good, title, run)
    return run


def command_line():
    run = Run("--help")
    rows = re.findall(r"^  (\w+) .*$", run.out, re.M)
    result(run.status == 0 and rows[:len(COMMANDS)] == COMMANDS and not run.err, "--help shows all commands", run)
    codes = dict(re.findall(r"^ +(\d+)  (.*)$", run.out, re.M))
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    table = dict(re.findall(r"^\.B (\d+)\n(.*)$", page[page.index(".SH EXIT STATUS"):], re.M))
    table = {code: text.replace("\\-", "-") for code, text in table.items()}
    result(len(codes) == 8 and codes == table, "--help and v3.1 have the same exit codes", f"{codes}\n{table}")
    sections = page[page.index(".SH COMMANDS"):page.index(".SH OPTIONS")]
    missing = [c for c in COMMANDS if not re.search(rf"^\.(?:TP\n\.)?BI? .*\b{c}\b", sections, re.M)]
    options = [o for o in re.findall(r"^  (--\w+)", run.out, re.M) if o.replace("-", r"\-") not in page]
    result(not missing and not options, "v3.1 describes each command and option", missing, options)
    check("without a command: usage, status 2", 2, "", "^usage: v3")
    check("an unknown command", 2, "strat x", 'no command "strat"', "v3 --help")
    check("an unknown option", 2, "list --bogus", "--bogus is no option")
    check("an unknown letter", 2, "-q list", "-q is no option")
    check("an option without its value", 2, "run x --name", "--name needs a value")
    check("an option of another command", 2, "start alpha --hard", "v3 start does not take --hard")
    check("a missing argument", 2, "move alpha 1", "v3 move takes NAME VCPU CPU, not 2")
    check("an argument too many", 2, "list alpha", "v3 list takes none, not 1")
    check("a time that is none", 2, "stop alpha --timeout 1s", "--timeout 1s is no time")
    check("a time that is too long", 2, "stop alpha --timeout 1000001", "is no time")
    check("a name that is none", 2, "run x --name a/b", '"a/b" is no name')
    check("a name that is too long", 2, "run x --name " + 64 * "a", "is no name")
    check("a mistake as JSON, wherever --json stands", 2, "start --nosuch --json",
          judge=lambda r: r.json()["error"]["message"] == "--nosuch is no option")


def device():
    check("no device: status 4 and the remedy", 4, "list", "No such file", "modprobe palacios", device="missing")
    check("no permission: status 4 and the remedy", 4, "info alpha", "usermod -a -G palacios", device="denied")
    check("another ABI: status 4 and the remedy", 4, "list", "does not speak version", device="old")
    check("run without a device: status 125", 125, "run guest.toml", "modprobe palacios", device="missing")
    check("doctor: device missing", 1, "doctor", "^FAIL +device +/dev/palacios: No such file", device="missing")
    check("doctor: device denied", 1, "doctor", "^FAIL +device", "usermod -a -G palacios", device="denied")
    check("doctor: another ABI", 1, "doctor", "^FAIL +device .* speaks version 2", device="old")
    check("doctor: rows, each failure with its remedy", 1, "doctor --json", device="missing",
          judge=lambda r: [row["name"] for row in r.json()["rows"]] ==
          ["cpu", "firmware", "others", "kernel", "memory", "module", "device"] and not r.json()["ready"] and
          all(row["remedy"] for row in r.json()["rows"] if row["verdict"] == "FAIL"))
    run = Run("doctor", device="pool")
    result(run.said(r"^ok +device .*2 CPUs, 3 VMs", r"memory .*, and 1.5 GiB of the 4 GiB reserved"),
           "doctor: what is reserved", run)
    check("version", 0, "version", r"abi 1, back end svm, 2 CPUs, 3 VMs, 4 GiB reserved, 1.5 GiB of it free",
          device="pool")
    check("version as JSON", 0, "version --json", device="pool",
          judge=lambda r: r.json()["pool_free"] == 3 << 29 and r.json()["pages_1g"] is True)


def facts():
    check("list", 0, "list", r"^NAME +STATE ", r"^alpha +running +2 +384 MiB root +until destroyed$",
          r"^beta +stopped .*with v3 run$", r"^other +running .* 4242 ")
    check("list as JSON", 0, "list --json", judge=lambda r: [v["name"] for v in r.json()["vms"]] ==
          ["alpha", "beta", "other"] and r.json()["vms"][0]["persistent"])
    check("list without a VM", 0, "list", "there is no VM", device="empty")
    check("list without a VM as JSON", 0, "list --json", device="empty", judge=lambda r: r.json() == {"vms": []})
    check("info", 0, "info alpha", "^state +running$", "^memory +384 MiB, of it 0 B .*, 256 MiB", "^owner +root$",
          "^0 +0 halted +1000$", "^1 +1 not started +1001$")
    check("info of a stopped VM", 0, "info beta", "^end .*status 33$", "as long as its v3 run")
    check("info as JSON", 0, "info beta --json", judge=lambda r: (lambda i: i["reason"] == "exit" and
          i["status"] == 33 and i["vcpu"][1] == {"cpu": 1, "state": "not started", "entries": 1001})(r.json()))
    check("a VM that does not exist", 1, "info nosuch", "there is no VM named nosuch", "v3 list")
    check("a name that no VM can have", 1, "info " + 100 * "x", "there is no VM named")
    check("a VM of another user", 1, "info other", "belongs to another user")
    check("stats", 0, "stats alpha", r"^VCPU +EXIT +COUNT +CYCLES", r"^ +0 cpuid +100 +50000 +500 +9000 {10}#: {3}\.$",
          judge=lambda r: "never" not in r.out)
    check("stats with blocks on a UTF-8 terminal", 0, "stats alpha", r" 9000 {10}█▂ {3}▁$",
          env={"LC_ALL": "de_DE.UTF-8"})
    check("stats as JSON", 0, "stats alpha --json", judge=lambda r: (lambda e: len(e) == 4 and
          e[0]["kind"] == "cpuid" and len(e[0]["histogram"]) == 32 and e[0]["histogram"][8] == 70 and
          "per_second" not in e[0])(r.json()["exits"]))
    check("stats --watch shows rates", 0, "stats alpha --watch --timeout 1 --json",
          judge=lambda r: all(e["per_second"] > 1000 for e in json.loads(r.out.splitlines()[0])["exits"]))
    check("top", 0, "top --timeout 1", r"^alpha +running +2 +\d{3,} +500  cpuid$", r"^other +running +2 +- +- +-$")
    check("top as JSON", 0, "top --timeout 1 --json", judge=lambda r: (lambda v: v[0]["most"] == "cpuid" and
          v[0]["cycles_per_exit"] == 500 and "most" not in v[2])(json.loads(r.out.splitlines()[0])["vms"]))


def looking():
    check("dump, however long", 0, "dump alpha", '^why: "nothing"$', judge=lambda r: len(r.raw) == 200000 and
          r.raw.endswith(b"x\nend\n"))
    check("dump as JSON, whatever bytes it has", 0, "dump alpha --json", judge=lambda r: r.json()["name"] == "alpha" and
          r.json()["dump"].startswith('why: "nothing"\n\ufffd\nxxx'))
    check("memory in hexadecimal", 0, "memory alpha 0x1004 34",
          r"^000000001004  04 05 06 07 08 09 0a 0b  0c .*  \|\.{16}\|$", r"^000000001024  24 25 {45}\|\$%\|$")
    check("memory as it is", 0, "memory --raw alpha 1 70000", judge=lambda r: r.raw ==
          bytes((1 + i) & 255 for i in range(70000)))
    check("memory as JSON", 0, "memory --json alpha 1M 3", judge=lambda r: r.json() ==
          {"gpa": 1 << 20, "size": 3, "hex": "000102"})
    check("memory that is no RAM", 1, "memory alpha 256M 1", "from 0x10000000 on is RAM")
    check("memory without the right to it", 1, "memory alpha 0 1", "sudo", device="plain")
    for bad in ("x 1", "0 0", "0 1Q", "0x 1", "-- -1 1", "99999999999999999999 1", "0 99999999999T"):
        check(f"memory {bad} is refused", 2, "memory alpha " + bad, "cannot be shown")


def control():
    check("pause", 0, "pause alpha", judge=lambda r: r.log == ["pause alpha"] and not r.out + r.err)
    check("pause as JSON", 0, "pause alpha --json", judge=lambda r: r.json()["state"] == "paused")
    check("continue of a running VM is refused and says why", 1, "continue alpha", "cannot continue alpha: it is running")
    check("reset", 0, "reset alpha", judge=lambda r: r.log == ["reset alpha"])
    check("start of a stopped VM is refused", 1, "start beta", "it is stopped", "make it anew")
    check("stop: the button, then hard", 0, "stop alpha --timeout 0",
          judge=lambda r: r.log == ["stop alpha how 0", "stop alpha how 1"])
    check("stop --hard", 0, "stop alpha --hard --json",
          judge=lambda r: r.log == ["stop alpha how 1"] and r.json()["state"] == "stopped")
    check("stop of a stopped VM changes nothing", 0, "stop beta", judge=lambda r: not r.log)
    check("destroy", 0, "destroy alpha", judge=lambda r: r.log == ["destroy alpha"])
    check("destroy of another user's VM", 1, "destroy other", "another user", judge=lambda r: not r.log)
    check("move", 0, "move alpha 1 0 --json", judge=lambda r: r.log == ["move alpha vcpu 1 to 0"] and
          r.json()["vcpu"][1]["cpu"] == 0)
    check("move of a vcpu that is not there", 1, "move alpha 2 0", "alpha has no vcpu 2")
    check("move to a CPU that is not there", 1, "move alpha 0 7", "no CPU 7, or it is offline")
    check("move of a word", 2, "move alpha one 0", "one is no number of a vcpu")


def making():
    check("create makes a VM that stays", 0, "create guest.toml --name kept",
          judge=lambda r: r.out == "kept\n" and r.log == ["create kept flags 1"])
    check("create --start", 0, "create --start guest.toml --json", judge=lambda r: r.json()["state"] == "running" and
          r.json()["name"] == "made" and r.log == ["create made flags 1", "start made"])
    check("create takes an image, too", 0, "create guest.v3i", "^made$")
    check("what cannot be started is not left behind", 1, "create --start --name nostart guest.toml", "dmesg",
          judge=lambda r: r.log[-1] == "destroy nostart" and not r.out)
    check("a name that is taken", 1, "create --name alpha guest.toml", "alpha exists already", "--name")
    check("a definition with a mistake: file, line, what to do", 3, "create wrong.toml", r"^wrong.toml:2: ",
          r"guest.toml\(5\)")
    check("the same as one JSON object", 3, "create --json wrong.toml",
          judge=lambda r: "wrong.toml:2: " in r.json()["error"]["message"] and "wrong.toml:2: " in r.err)
    check("no such definition", 3, "create nosuch.toml", "cannot open nosuch.toml: No such file", "Give the path")
    check("a folder is no definition", 3, "create .", "is not a regular file")
    check("a damaged image", 3, "create damaged.v3i", "cannot make a VM of damaged.v3i: Bad message", "pack it again",
          judge=lambda r: not r.log)
    run = Run("create", b"\xe9\xc3\xa4\"\x1b.toml".decode("utf-8", "surrogateescape"), "--json")
    result(run.status == 3 and "\ufffdä\"\x1b.toml" in run.json()["error"]["message"],
           "a file name of any bytes does not spoil JSON", run)
    check("temporary files go where TMPDIR says", 3, "create guest.toml", "cannot make a folder /nosuch/v3-",
          env={"TMPDIR": "/nosuch"})
    result(not [n for n in os.listdir(".") if n.startswith("v3-")], "no temporary file is left", os.listdir("."))


def running():
    check("run: output, the guest's status", 33, "run --name hello guest.toml", judge=lambda r:
          r.out == "the guest starts\n" and not r.err and r.log == ["create hello flags 0", "start hello"])
    check("run --json tells the end", 33, "run --name hello --json guest.toml",
          judge=lambda r: json.loads(r.out.splitlines()[1])["reason"] == "exit")
    check("run: standard input goes to the guest", 0, "run guest.toml", r"^heard \[power off", stdin="power off\n")
    check("run: a failure of ours is 125, with the dump", 125, "run --name broken guest.toml", '^why: "nothing"$',
          "the VMM failed and stopped broken: Input/output error")
    check("run: what cannot be started is 125", 125, "run --name nostart guest.toml", "cannot start nostart")
    check("run --timeout", 124, "run --timeout 1 guest.toml", "did not end within 1 s")
    check("run: no such console", 125, "run --console nosuch guest.toml", "console nosuch: No such file")
    check("console ends with the VM of an owner", 0, "console beta", "^last words of beta$", "^v3: beta has stopped$")
    check("console begins with what was said before", 124, "console alpha --timeout 1", "^alpha said this before$")


def talk(args, dialogue):
    """Run v3 on a terminal of its own: wait for a text, type another, and so on. @return (status, all that came)"""
    pid, fd = pty.fork()
    if not pid:
        os.environ.update({"LC_ALL": "C", "FAKE_DEVICE": ""})
        os.execv(V3, [V3, *args])
    text = rest = ""
    dialogue = list(dialogue)
    try:
        while select.select([fd], [], [], 30)[0]:
            got = os.read(fd, 4096).decode("utf-8", "replace")
            if not got:
                break
            text += got
            rest += got
            while dialogue and dialogue[0][0] in rest:
                wanted, typed = dialogue.pop(0)
                rest = rest[rest.index(wanted) + len(wanted):]
                os.write(fd, typed.encode())
    except OSError:
        pass
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text + "".join(f"\n[never came: {d[0]}]" for d in dialogue)


def terminal():
    menu = "\x1d"
    status, text = talk(("run", "guest.toml"), (
        ("the guest starts", "x"), ("heard [x]", "\x03"), ("heard [\x03]", menu), ("v3: s power", menu),
        (f"heard [{menu}]", menu), ("send it", "p"), ("v3: paused", menu), ("send it", "p"), ("v3: it runs", menu),
        ("send it", "d"), ("ends with v3 run", menu), ("send it", "x"), ("back in the console", menu),
        ("send it", "s"), ("button pressed", "")))
    result(status == 0 and "never came" not in text, "run on a terminal: keys and menu", status, text)
    status, text = talk(("run", "guest.toml"), (("the guest starts", menu), ("send it", "q")))
    result(status == 130 and "stopped by its user" in text, "run on a terminal: q stops it, status 130", status, text)
    status, text = talk(("console", "alpha"), (("said this before", menu), ("d detach", "d")))
    result(status == 0 and "never came" not in text, "console on a terminal: d detaches", status, text)


def files():
    """Files of the host: beside the definition, opened as the guest uses them, locked."""
    os.mkdir("there")
    with open("there/kernel.bin", "wb") as f:
        f.write(KERNEL)
    for name in ("there/disk", "there/base"):
        with open(name, "wb") as f:
            f.write(b"x" * 512)
    with open("there/guest.toml", "w", encoding="ascii") as f:
        f.write(DEFINITION + DISKS.format("disk"))
    subprocess.run([os.path.join(BUILD, "bin", "v3-mkimage"), "-q", "-o", "there/guest.v3i", "there/guest.toml"], check=True)
    for path in ("there/guest.toml", "there/guest.v3i"):
        r = Run("create", path)
        result(r.status == 0 and r.log[:2] == ["file disk rw", "file base ro"], f"create {path}: files come along", r)
    with open("there/disk", "rb") as other, open("there/base", "rb") as shared:
        fcntl.flock(shared, fcntl.LOCK_SH)
        r = Run("create", "there/guest.toml")
        result(r.status == 0, "create: a file that is read may be shared", r)
        fcntl.flock(other, fcntl.LOCK_SH)
        r = Run("create", "there/guest.toml")
        result(r.status == 3 and r.said("there/disk is in use", "file of its own") and not r.log,
               "create: a file that is written may not", r)
    os.unlink("there/disk")
    r = Run("create", "there/guest.toml")
    result(r.status == 3 and r.said("cannot open there/disk.*No such file") and not r.log, "create: a file is missing", r)


def taps():
    """Interfaces of the host: they exist, belong to the user, and are free."""
    for name, device, status, *wanted in (
            ("tap0", "", 0, "made"), ("nosuch", "", 3, "no network interface nosuch", "ip tuntap add dev"),
            ("busy", "", 3, "busy is in use", "v3 list"), ("alien", "", 3, "alien does not belong to you", "user USER"),
            ("eth0", "", 3, "eth0 is no TAP interface", "ip tuntap shows"),
            ("much-longer-than-a-name", "", 3, "is no name of a network interface"),
            ("tap0", "no-tun", 3, "cannot open /dev/net/tun", "modprobe tun")):
        with open("tap.toml", "w", encoding="ascii") as f:
            f.write(DEFINITION + f'[[device]]\nclass = "uplink"\ninterface = "{name}"\n')
        r = Run("create", "--name", "made", "tap.toml", device=device)
        notes = r.log[:2] == ["offload 0xf", f"tap {name} rw"] if status == 0 else not r.log
        result(r.status == status and notes and r.said(*wanted), f"interface {name} {device}: status {status}", r)


def main():
    if not os.access(V3, os.X_OK):
        print(f"Bail out! {V3} is not built")
        return 1
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        for name, text in (("guest.toml", DEFINITION), ("wrong.toml", DEFINITION.replace("name", "nmae", 1))):
            with open(name, "w", encoding="ascii") as f:
                f.write(text)
        with open("kernel.bin", "wb") as f:
            f.write(KERNEL)
        subprocess.run([os.path.join(BUILD, "bin", "v3-mkimage"), "-q", "-o", "guest.v3i", "guest.toml"], check=True)
        with open("guest.v3i", "rb") as f, open("damaged.v3i", "wb") as g:
            g.write(f.read()[:40])
        for group in (command_line, device, facts, looking, control, making, running, files, taps, terminal):
            group()
        os.chdir("/")
    print(f"1..{count}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
