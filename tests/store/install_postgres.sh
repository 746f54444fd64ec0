#!/bin/sh
# Installs PostgreSQL for the tests of the store where this user may, and quickly; otherwise the tests say that it is absent.
# Never fails, and leaves no server running: the tests start one of their own.
command -v initdb >/dev/null 2>&1 && exit 0
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0
command -v apt-get >/dev/null 2>&1 || exit 0
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || exit 0
    as_root="sudo -n"
fi
echo "PostgreSQL is installed for the tests of the store (apt-get install postgresql)"
# Debian would make a cluster and start it.
[ -e /etc/postgresql-common/createcluster.conf ] || $as_root sh -c \
    'mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf' || exit 0
quick="-o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 -o Acquire::Retries=0 -o DPkg::Lock::Timeout=10"
get() {
    timeout 150 $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq $quick "$@" >/dev/null 2>&1 </dev/null
}
get install -y --no-install-recommends postgresql || { get update && get install -y --no-install-recommends postgresql; }
exit 0
