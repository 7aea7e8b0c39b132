#!/usr/bin/env python3
"""What the program is made of, as a CycloneDX document: scripts/sbom.py > sbom.cdx.json

Every crate that is linked into the program or runs while it is built, for Linux on x86_64, with
version, licence, checksum and what it needs. Crates of tests and benches are not among them.
"""

import json
import subprocess
import tomllib
import uuid

PLATFORM = "x86_64-unknown-linux-gnu"


def main():
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    command += ["--filter-platform", PLATFORM]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    needs = {node["id"]: shipped(node["deps"]) for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    reached, waiting = set(), [root]
    while waiting:
        package = waiting.pop()
        if package not in reached:
            reached.add(package)
            waiting += needs[package]
    with open("Cargo.lock", "rb") as lock:
        sums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(lock)["package"]}
    others = sorted((packages[package] for package in reached - {root}), key=purl)
    names = {package: purl(packages[package]) for package in reached}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(packages[root], sums, "application")},
        "components": [component(package, sums, "library") for package in others],
        "dependencies": [
            {"ref": names[package], "dependsOn": sorted(names[need] for need in needs[package])}
            for package in sorted(reached, key=names.get)
        ],
    }
    # The same tree gives the same document, byte for byte.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    print(json.dumps({"serialNumber": f"urn:uuid:{serial}", **document}, indent=1))


def shipped(dependencies):
    """Those that are linked or needed to build."""
    is_shipped = lambda need: any(kind["kind"] != "dev" for kind in need["dep_kinds"])
    return [need["pkg"] for need in dependencies if is_shipped(need)]


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums, kind):
    found = {"type": kind, "bom-ref": purl(package), "name": package["name"]}
    found |= {"version": package["version"], "purl": purl(package)}
    if package["license"]:
        licence = package["license"].replace("/", " OR ").replace(" or ", " OR ")
        found["licenses"] = [{"expression": " ".join(licence.split())}]
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


if __name__ == "__main__":
    main()
