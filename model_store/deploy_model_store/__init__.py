"""The store on disk: versions, manifests, golden data, aliases and views for servers."""

from deploy_model_store.golden import Golden
from deploy_model_store.manifest import FileFact
from deploy_model_store.record import Record
from deploy_model_store.store import Store
from deploy_model_store.version import Damage, Version

__all__ = ["Damage", "FileFact", "Golden", "Record", "Store", "Version"]
