"""Real bodies: Anny's parametric people in MakeHuman's clothes, moved by the project's motion model.

Only training uses this package and its extra ``bodies``; the service never loads it.
"""
