"""Judges manifests by the schemas of Kubernetes, strictly: what a schema does not know is an error.

Usage: manifests.py VERSION=FOLDER...   Every .yaml file of a folder is judged as that version's.
Kinds that are not Kubernetes' own are left to others.
"""

import pathlib
import sys

import kubernetes_validate
import yaml


def judge(version, path):
    for number, manifest in enumerate(yaml.safe_load_all(path.read_text())):
        if manifest is None or manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = "/".join(str(part) for part in error.path)
            yield f"{path} manifest {number} ({manifest['kind']}), {version}, {where}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{path} manifest {number}, {version}: {error.message}"


def main():
    judged, problems = 0, []
    for argument in sys.argv[1:]:
        version, folder = argument.split("=", 1)
        for path in sorted(pathlib.Path(folder).glob("*.yaml")):
            judged += 1
            problems.extend(judge(version, path))
    if problems or not judged:
        sys.exit("\n".join(problems) or "no manifests")
    print(f"{judged} files are good")


main()
