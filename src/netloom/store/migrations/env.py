"""What Alembic runs before the files in ``versions``: they work in the transaction of whoever opens the store."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Run the steps that are missing on the connection that `netloom.store.migrating` gives."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


# The name under which Alembic loads this file: other tools that walk over modules may import it without effect.
if __name__ == "env_py":
    run()
