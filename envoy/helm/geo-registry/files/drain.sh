#!/bin/bash
# preStop of Envoy: how a pod ends while layers of gigabytes are on their way.
#
#   drain.sh PORT LEAST MOST
#
# PORT is Envoy's admin interface on loopback. From now on Envoy closes each connection after its next response, so
# clients come back by another pod. After LEAST seconds, which load balancers need to learn of it, this ends as soon as no
# request is left, and after MOST seconds in any case. Then Envoy gets SIGTERM, and ends at once.
set -uo pipefail
port=$1 least=$2 most=$3

ask() { # METHOD PATH: the answer, head and all
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
    cat <&3
    exec 3>&-
}

ask POST /healthcheck/fail >/dev/null || exit 0 # Envoy has ended by itself
while ((SECONDS < most)); do
    if ((SECONDS >= least)); then
        answer=$(ask GET '/stats?filter=^http.registry.downstream_rq_active$') || exit 0
        if [[ $answer =~ downstream_rq_active:\ 0 ]]; then
            exit 0
        fi
    fi
    sleep 0.5
done
echo "requests were still under way after $most seconds" >&2
