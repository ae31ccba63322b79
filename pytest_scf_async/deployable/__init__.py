"""A check of code before it is deployed: ``check PATH`` and ``assert_deployable``, which run nothing of it."""
