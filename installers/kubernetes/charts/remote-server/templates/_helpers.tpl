{{- define "remote-server.name" -}}
{{- contains "remote-server" .Release.Name | ternary .Release.Name (printf "%s-remote-server" .Release.Name) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "remote-server.selector" -}}
app.kubernetes.io/name: remote-server
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "remote-server.labels" -}}
{{ include "remote-server.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "remote-server.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "remote-server.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

