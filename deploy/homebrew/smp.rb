# The formula of a release: fill.sh puts in where its sources are.
class Smp < Formula
  desc "Server, agent and client for private, one-way message queues (SMP 0.3)"
  homepage "HOMEPAGE"
  url "URL"
  sha256 "SHA256"
  license "AGPL-3.0-only"

  depends_on "deno"
  depends_on "openssl@3"

  def install
    libexec.install "LICENSE", "deno.json", "import_map.json", "protocol", "cli", "client", "agent", "server"
    (libexec/"deploy").install "deploy/server.lock"
    ENV["DENO_DIR"] = libexec/"cache"
    cd libexec do
      system "deno", "cache", "--no-config", "--import-map=import_map.json", "--lock=deploy/server.lock", "--frozen",
             "server/main.ts", "server/net/websocket_listener.ts", "agent/main.ts", "client/main.ts"
    end
    directories = "#{etc}/smp-server,#{var}/smp-server"
    program "smp-server", "server/main.ts", "--v8-flags=--max-semi-space-size=4",
            "--allow-read=#{directories}", "--allow-write=#{directories}",
            "--allow-env=SMP_CONFIG_DIR,SMP_LOG_DIR,SMP_HOST,SMP_PORT,SMP_WS_PORT,SMP_STORE_LOG," \
            "WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE",
            "--allow-ffi=#{Formula["openssl@3"].opt_lib/shared_library("libcrypto", "3")}"
    program "smp-agent", "agent/main.ts", "--v8-flags=--max-semi-space-size=4,--heap-growing-percent=60",
            "--allow-read=.", "--allow-write=."
    program "smp", "client/main.ts", "--allow-read=.", "--allow-write=."
  end

  # A script that runs a module of the project, with the network and the given permissions.
  def program(name, path, *options)
    (bin/name).write <<~SH
      #!/bin/sh
      export DENO_DIR="#{libexec}/cache" DENO_NO_UPDATE_CHECK=1 DENO_TOKIO_EVENT_INTERVAL=1
      export SMP_CONFIG_DIR="${SMP_CONFIG_DIR:-#{etc}/smp-server}" SMP_LOG_DIR="${SMP_LOG_DIR:-#{var}/smp-server}"
      exec "#{Formula["deno"].opt_bin}/deno" run --no-prompt --cached-only --no-config \\
        --import-map="#{libexec}/import_map.json" --lock="#{libexec}/deploy/server.lock" --frozen \\
        --allow-net #{options.join(" ")} "#{libexec}/#{path}" "$@"
    SH
  end

  def post_install
    [etc/"smp-server", var/"smp-server"].each do |directory|
      directory.mkpath
      directory.chmod 0700
    end
  end

  service do
    run [opt_bin/"smp-server", "start", "-y", "-l"]
    keep_alive true
    log_path var/"log/smp-server.log"
    error_log_path var/"log/smp-server.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/smp --version")
    assert_match version.to_s, shell_output("#{bin}/smp-agent --version")
    assert_match version.to_s, shell_output("#{bin}/smp-server --version")
  end
end
