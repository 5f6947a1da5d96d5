"""Real bodies that walk: Anny's parametric people in MakeHuman's clothes, moved by the project's motion.

Only training needs this package, and its extra ``bodies``; the service never loads it.
"""
