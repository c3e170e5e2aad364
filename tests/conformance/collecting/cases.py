"""The cases of the corpus: which files make one run, in which order, and where
their expectations lie. By the shape of names only, none is named here.

    one folder under logstash/ or telegraf/      its payloads in name order
    pmacct/<test>/traffic-NN.pcap                each capture alone
    <test>__NN.dat, <name>-N.dat                 the numbers in order
    <name>-template, -options-template, ...      templates first, then options, then data
    anything else                                alone
"""

import collections
import re

import corpus

from . import logstash, netgauze, snapshot, telegraf

PAYLOADS = (".dat", ".bin", ".dump")
NUMBERED = re.compile(r"^(.*?)__(\d+)(?:_.*)?$")
COUNTED = re.compile(r"^(.*)-(\d+)$")
# Words of a name that tell the part a file plays, not the case it is of.
ROLES = re.compile(r"(?:[-._](?:options|templates?|data)(?![a-z]))+")


class Case:
    def __init__(self, name, files, readers):
        self.name, self.files = name, files
        self.readers = readers  # () -> Expectation or None

    def expectations(self):
        found = [read() for read in self.readers]
        return [one for one in found if one is not None]


def load(root):
    """Every case below netflow/ and sflow/, in name order."""
    found = []
    for kind in ("netflow", "sflow"):
        for folder in sorted(p for p in (root / kind).iterdir() if p.is_dir()):
            found += whole_folders(root, folder) if folder.name in ("logstash", "telegraf") \
                else single_files(root, folder)
    return sorted(found, key=lambda case: case.name)


def inputs(folder):
    return sorted(p for p in folder.iterdir()
                  if p.is_file() and (p.suffix in PAYLOADS or corpus.is_capture(p)))


def whole_folders(root, folder):
    for sub in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = inputs(sub)
        readers = []
        if (sub / "expected.json").exists():
            readers.append(lambda sub=sub: logstash.read(sub / "expected.json"))
        if (sub / "expected.out").exists():
            readers.append(lambda sub=sub: telegraf.read(sub / "expected.out"))
        if readers:
            yield Case(str(sub.relative_to(root)), files, readers)
        else:
            for path in files:
                yield Case(str(path.relative_to(root)), [path], [])


def single_files(root, folder):
    groups = collections.defaultdict(list)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix in PAYLOADS or corpus.is_capture(path):
            groups[group_of(path)].append(path)
    for (parent, stem), files in sorted(groups.items()):
        files.sort(key=order)
        name = files[0] if len(files) == 1 else parent / stem
        readers = []
        for path in (parent / f"{stem}.snap",):
            if path.exists():
                readers.append(lambda path=path: snapshot.read(path))
        decoded = parent / f"{files[0].stem}.netgauze-flow.json"
        if decoded.exists():
            readers.append(lambda path=decoded: netgauze.read(path))
        yield Case(str(name.relative_to(root)), files, readers)


def group_of(path):
    stem = path.stem
    numbered = NUMBERED.match(stem)
    if numbered:
        return path.parent, numbered[1]
    if path.suffix in PAYLOADS and COUNTED.match(stem):
        return path.parent, COUNTED.match(stem)[1]
    bare = ROLES.sub("", re.sub(r"_(templates?|data)$", r"-\1", stem))
    return path.parent, bare or stem


def order(path):
    numbered = NUMBERED.match(path.stem) or COUNTED.match(path.stem)
    number = int(numbered[2]) if numbered else 0
    template, option = "template" in path.stem, "option" in path.stem
    return number, (0 if template else 2) + (option if template else not option), path.name
