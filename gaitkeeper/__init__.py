"""Names people by the way they walk.

In the repository the packages are links to the folders beside this one; a wheel contains the folders themselves.
"""
