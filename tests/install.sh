#!/usr/bin/env bash
# Installs the Debian packages that the tests drive. Runs as root; does nothing when all are there.
set -euo pipefail

packages=(
    chromium
    curl
    default-jre-headless
    faketime
    iproute2
    libfuse2
    mariadb-server
    maven
    netcat-openbsd
    nftables
    nginx-light
    openssl
    prometheus
    python3-venv
    redis-sentinel
    redis-server
    strace
    systemd
    util-linux
    wrk
    xz-utils
)

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null \
        | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "the tests need these packages: ${missing[*]}; install them, or run as root" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # No service may start: the tests start private instances of their own.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi
