"""The LibCST codemods that put something into a module: each changes the nodes that the plan names, and no others."""
