"""The store on disk: versions, manifests, golden data, aliases and views for servers."""
