"""Trained models, stored under names with versions: the public functions of the registry."""

from diffrec_cli.registry.artifact import Artifact
from diffrec_cli.registry.pruning import Kept, Pruned, Removal, prunable, prune
from diffrec_cli.registry.record import FileEntry, ModelRecord, TrainingFacts, package_versions
from diffrec_cli.registry.references import check_model_name
from diffrec_cli.registry.verification import FileCheck, Verification
from diffrec_cli.registry.versions import (
    ListedModel,
    covered_by,
    export,
    import_,
    list_models,
    publish,
    remove,
    rename,
    resolve,
    set_default,
    verify,
)

__all__ = [
    "Artifact",
    "FileCheck",
    "FileEntry",
    "Kept",
    "ListedModel",
    "ModelRecord",
    "Pruned",
    "Removal",
    "TrainingFacts",
    "Verification",
    "check_model_name",
    "covered_by",
    "export",
    "import_",
    "list_models",
    "package_versions",
    "prunable",
    "prune",
    "publish",
    "remove",
    "rename",
    "resolve",
    "set_default",
    "verify",
]
