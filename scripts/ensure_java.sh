#!/bin/sh
# Print the home of a Java that Spark can run on, after installing one where there is none:
#
#     JAVA_HOME=$(scripts/ensure_java.sh)
#
# Only the home goes to standard output; what happens is told on standard error.
set -eu

NEEDED=17 # Spark 4 runs on Java 17 and newer

say() {
    printf '%s\n' "$@" >&2
}

# Print the home of the java command $1 if it is new enough. It is asked itself, because a command on the PATH may
# be a link (Linux) or a stub that only opens a download page (macOS).
home_if_new_enough() {
    properties=$("$1" -XshowSettings:properties -version 2>&1) || return 1
    version=$(printf '%s\n' "$properties" | sed -n 's/^ *java\.specification\.version = //p')
    # Java 8 calls itself 1.8: what follows the first dot does not matter for the comparison.
    [ "${version%%.*}" -ge "$NEEDED" ] 2>/dev/null || return 1
    printf '%s\n' "$properties" | sed -n 's/^ *java\.home = //p'
}

# Print the home of the first Java that will do: the one the user chose, then the PATH, then the places where
# packages put one without making it the default.
find_java() {
    for candidate in \
        "${JAVA_HOME:-/nonexistent}/bin/java" \
        "$(command -v java || true)" \
        /usr/lib/jvm/*/bin/java \
        /opt/homebrew/opt/openjdk*/bin/java \
        /usr/local/opt/openjdk*/bin/java \
        /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java; do
        if [ -x "$candidate" ] && home_if_new_enough "$candidate"; then
            return 0
        fi
    done
    return 1
}

# Run a command as root without ever asking for a password. Its output goes to standard error, see above.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@" </dev/null >&2
    else
        sudo -n "$@" </dev/null >&2
    fi
}

may_be_root() {
    [ "$(id -u)" -eq 0 ] || sudo -n true >/dev/null 2>&1
}

install_with_apt() {
    # One unreachable list of many is no reason to stop: the package may be in another.
    as_root apt-get -qq update || say "apt-get update reported errors; going on with the lists there are."
    for package in openjdk-17-jre-headless openjdk-21-jre-headless openjdk-25-jre-headless default-jre-headless; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            # Without a terminal of its own, dpkg draws no progress bars.
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$package"
            return
        fi
    done
    say "apt-get knows no package with a Java runtime."
    return 1
}

install_with_dnf() {
    for package in java-17-openjdk-headless java-21-openjdk-headless java-latest-openjdk-headless; do
        as_root dnf -q -y install "$package" && return 0
    done
    return 1
}

install_with_apk() {
    for package in openjdk17-jre-headless openjdk21-jre-headless; do
        as_root apk add --quiet "$package" && return 0
    done
    return 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

install_java() {
    # Homebrew needs no root, and refuses to run as root.
    if has brew && [ "$(id -u)" -ne 0 ]; then
        say "No Java >= $NEEDED found: installing one with brew ..."
        brew install --quiet openjdk@17 </dev/null >&2
    elif ! has apt-get && ! has dnf && ! has apk; then
        say "No Java >= $NEEDED found, and none of brew, apt-get, dnf and apk to install one with."
        return 1
    elif ! may_be_root; then
        say "No Java >= $NEEDED found, and installing one needs root, or sudo without a password."
        return 1
    elif has apt-get; then
        say "No Java >= $NEEDED found: installing one with apt-get ..."
        install_with_apt
    elif has dnf; then
        say "No Java >= $NEEDED found: installing one with dnf ..."
        install_with_dnf
    else
        say "No Java >= $NEEDED found: installing one with apk ..."
        install_with_apk
    fi
}

find_java && exit 0
if install_java && find_java; then
    exit 0
fi
say "" \
    "The Spark tests need a Java runtime, version $NEEDED or newer. Install one, then run the command again:" \
    "  Debian, Ubuntu   apt-get install openjdk-17-jre-headless   (or default-jre-headless)" \
    "  Fedora, RHEL     dnf install java-17-openjdk-headless      (or java-21-openjdk-headless)" \
    "  Alpine           apk add openjdk17-jre-headless" \
    "  macOS            brew install openjdk@17" \
    "  elsewhere        https://adoptium.net" \
    "or set JAVA_HOME to one that is already there."
exit 1
