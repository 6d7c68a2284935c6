"""How models become files and how those files run: sources, formats, routes between them, and the worker that hosts both."""
