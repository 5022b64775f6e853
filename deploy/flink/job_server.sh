#!/usr/bin/env bash
# Beam's job server for Flink 1.19, with a Flink mini cluster in the same process.
#
#   deploy/flink/job_server.sh prepare         fetches the jars (once, with a network; Java 17 and Maven)
#   deploy/flink/job_server.sh                 serves on 127.0.0.1:8099 until Ctrl-C
#   deploy/flink/job_server.sh --job-port=9000 --flink-master=<host>:8081
#
# Further arguments go to the job server. Variables: SPERM_TF_FLINK_JARS, the folder of the jars; JAVA_HOME; JAVA_OPTS,
# such as -Xmx4g.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
jars="${SPERM_TF_FLINK_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/sperm_tf/flink-1.19}"
java="${JAVA_HOME:+$JAVA_HOME/bin/}java"

stop() {
  echo "job_server.sh: $1" >&2
  exit 1
}

check_java() {
  command -v "$1" >/dev/null || stop "needs $1, of a JDK 17, which is not found. Install one (Debian: apt-get install openjdk-17-jdk-headless), or set JAVA_HOME."
  local version
  version="$("$1" -version 2>&1 | sed -n -E 's/^(javac|.* version) "?([0-9]+).*/\2/p' | head -n 1)"
  [[ "$version" == 17 ]] || stop "Java must be version 17. Received: ${version:-unknown}, of $(command -v "$1"). Set JAVA_HOME to a JDK 17."
}

prepare() {
  check_java "${java}c"
  command -v mvn >/dev/null || stop "needs mvn, which is not found. Install Maven (Debian: apt-get install maven)."
  [[ ! -e "$jars" ]] || stop "the folder for the jars must not exist. Received: $jars. Delete it to fetch them again."
  mkdir -p "$(dirname "$jars")"
  new="$jars.unfinished.$$"
  trap 'rm -rf "$new"' EXIT
  mvn --batch-mode --quiet --file "$here/pom.xml" generate-resources -Djars="$new"
  bind_one_interface "$new"
  mv "$new" "$jars"
  echo "job_server.sh: the jars lie in $jars"
}

# Beam opens its ports on every interface, whatever --job-host says. Who reaches them can run code.
bind_one_interface() {
  local source="$1/source/org/apache/beam/sdk/fn/server/ServerFactory.java"
  grep -q 'NettyServerBuilder.forPort(socket.getPort())' "$source" || stop "Beam's ServerFactory is not the one that is known here: $source"
  sed -i.orig 's/NettyServerBuilder.forPort(socket.getPort())/NettyServerBuilder.forAddress(socket)/' "$source"
  mkdir "$1/classes"
  "${java}c" -nowarn -proc:none -cp "$1/*" -d "$1/classes" "$source"
}

run() {
  check_java "$java"
  [[ -d "$jars/classes" ]] || stop "the folder of the jars must be prepared. Received: $jars. Run $0 prepare, once, with a network."
  local opens=()
  for name in java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.text java.time java.util \
    java.util.concurrent java.util.concurrent.atomic sun.net.util sun.nio.ch; do
    opens+=("--add-opens=java.base/$name=ALL-UNNAMED")
  done
  export NO_GCE_CHECK=true # otherwise it looks for a cloud's metadata server first
  # shellcheck disable=SC2086
  exec "$java" -Xmx2g ${JAVA_OPTS:-} "${opens[@]}" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$jars/classes:$jars/*" \
    org.apache.beam.runners.flink.FlinkJobServerDriver --flink-master='[local]' --flink-conf-dir="$here/conf" \
    --job-host=127.0.0.1 --job-port=8099 --artifact-port=0 --expansion-port=0 --clean-artifacts-per-job "$@"
}

if [[ "${1:-}" == prepare ]]; then
  prepare
else
  run "$@"
fi
