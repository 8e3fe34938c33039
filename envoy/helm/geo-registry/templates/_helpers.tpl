{{- define "geo-registry.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 50 characters: names made from it have up to 13 more. */}}
{{- define "geo-registry.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "geo-registry.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "geo-registry.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "geo-registry.instance" -}}
app.kubernetes.io/name: {{ include "geo-registry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The gateway's pods, and not that of `helm test`. */}}
{{- define "geo-registry.selector" -}}
{{ include "geo-registry.instance" . }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "geo-registry.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "geo-registry.instance" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "geo-registry.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "geo-registry.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "geo-registry.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end }}
{{- end }}

{{/*
The settings' file: what follows from the values, and `settings`. Redis' URL comes by the environment, for it may have
a password.
*/}}
{{- define "geo-registry.settings" -}}
{{- $server := dict "workers" (int .Values.processor.workers) }}
{{- if .Values.envoy.enabled }}
{{- $_ := set $server "socket_dir" "/run/geo-extproc/sockets" }}
{{- $_ := set $server "socket_access" "group" }}
{{- else }}
{{- $_ := set $server "address" "0.0.0.0:9100" }}
{{- end }}
{{- $envoy := dict "listen" "0.0.0.0:5000" "admin" "127.0.0.1:9901" "status" "0.0.0.0:9902" }}
{{- if .Values.envoy.tlsSecret }}
{{- $_ := set $envoy "certificate" "/etc/geo-extproc/tls/tls.crt" }}
{{- $_ := set $envoy "private_key" "/etc/geo-extproc/tls/tls.key" }}
{{- end }}
{{- $admin := dict "address" "0.0.0.0:9001" }}
{{- if .Values.readers.existingSecret }}
{{- $_ := set $admin "secret_file" "/etc/geo-extproc/readers/secret" }}
{{- end }}
{{- $settings := dict "server" $server "envoy" $envoy "admin" $admin }}
{{- if .Values.keys.existingSecret }}
{{- $files := list }}
{{- range .Values.keys.files }}
{{- $files = append $files (printf "/etc/geo-extproc/keys/%s" .) }}
{{- end }}
{{- $_ := set $settings "auth" (dict "keys" $files) }}
{{- end }}
{{- if .Values.notifications.existingSecret }}
{{- $_ := set $settings "notifications" (dict "secret_file" "/etc/geo-extproc/notifications/secret") }}
{{- end }}
{{- if .Values.registryAccount.existingSecret }}
{{- $_ := set $settings "service_account" (dict "password_file" "/etc/geo-extproc/registry-account/secret") }}
{{- end }}
{{- if or .Values.ca.existingSecret .Values.ca.existingConfigMap }}
{{- $ca := dict "ca" "/etc/geo-extproc/ca/ca.pem" }}
{{- $_ := set $settings "sites" (dict "primary" $ca "secondary" (deepCopy $ca)) }}
{{- end }}
{{- mustMergeOverwrite $settings (deepCopy .Values.settings) | toToml }}
{{- end }}

{{- define "geo-registry.env" -}}
{{- if or .Values.redis.existingSecret .Values.extraEnv }}
env:
  {{- if .Values.redis.existingSecret }}
  - name: GEO_EXTPROC_STORE__URL
    valueFrom:
      secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: {{ .Values.redis.key }}}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "geo-registry.containerSecurity" -}}
runAsUser: {{ .user }}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{/* Files of existing Secrets and ConfigMaps: the folder below /etc/geo-extproc, and the volume. */}}
{{- define "geo-registry.files" -}}
{{- with .Values.keys.existingSecret }}
keys: {secret: {secretName: {{ . }}, defaultMode: 0440}}
{{- end }}
{{- with .Values.envoy.tlsSecret }}
tls: {secret: {secretName: {{ . }}, defaultMode: 0440}}
{{- end }}
{{- range $folder, $of := dict "notifications" .Values.notifications "readers" .Values.readers "registry-account" .Values.registryAccount }}
{{- if $of.existingSecret }}
{{ $folder }}: {secret: {secretName: {{ $of.existingSecret }}, defaultMode: 0440, items: [{key: {{ $of.key }}, path: secret}]}}
{{- end }}
{{- end }}
{{- if .Values.ca.existingSecret }}
ca: {secret: {secretName: {{ .Values.ca.existingSecret }}, defaultMode: 0440}}
{{- else if .Values.ca.existingConfigMap }}
ca: {configMap: {name: {{ .Values.ca.existingConfigMap }}}}
{{- end }}
{{- end }}

{{- define "geo-registry.mounts" -}}
- {name: settings, mountPath: /etc/geo-extproc/settings, readOnly: true}
{{- range $folder, $volume := include "geo-registry.files" . | fromYaml }}
- {name: {{ $folder }}, mountPath: /etc/geo-extproc/{{ $folder }}, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "geo-registry.processor" -}}
image: {{ include "geo-registry.image" (dict "image" .Values.image "tag" .Chart.AppVersion) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/geo-extproc/settings/geo-extproc.toml]
{{- include "geo-registry.env" . | nindent 0 }}
ports:
  - {name: admin, containerPort: 9001}
  {{- if not .Values.envoy.enabled }}
  {{- range $worker := until (int .Values.processor.workers) }}
  - {name: grpc-{{ $worker }}, containerPort: {{ add 9100 $worker }}}
  {{- end }}
  {{- end }}
# Envoy starts when a worker serves. The issuer's keys may come later: the primary judges tokens until then.
startupProbe:
  httpGet: {path: "/readyz?exclude=keys", port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
{{- if not .Values.envoy.enabled }}
# Beside Envoy there is none: without a worker everything goes to the primary, which is better than no pod at all.
readinessProbe:
  grpc: {port: 9100}
  periodSeconds: 5
{{- end }}
securityContext: {{- include "geo-registry.containerSecurity" (dict "user" 1000) | nindent 2 }}
resources: {{- toYaml .Values.processor.resources | nindent 2 }}
volumeMounts:
  {{- include "geo-registry.mounts" . | nindent 2 }}
  {{- if .Values.envoy.enabled }}
  - {name: sockets, mountPath: /run/geo-extproc}
  {{- end }}
{{- end }}
