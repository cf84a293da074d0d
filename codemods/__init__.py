"""Finds the API calls of backends, and injects, upgrades and removes the blocks that queue and retry them.

Data flows one way: paths (`files`) -> bytes (`source`) -> a plan (`plan`, `discover`, `markers`, `render`) -> text
-> disk (`files`), and from the same plan the facts (`facts`): as text (`report`), SARIF (`sarif`) and annotations (`github`).
"""
