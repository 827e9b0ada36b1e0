# SPDX-License-Identifier: BSD-3-Clause
# make install, make uninstall: the command, the manual pages, what connects the module with a Linux system, and the
# module's source for DKMS, which builds it for each kernel of the machine. DESTDIR=folder stages, and then nothing
# is run on this system; PREFIX=/usr for a package. Needs from the top Makefile: B, AUTOCONF_MK, linux-tops, say.

PALACIOS_VERSION := 1.0
DESTDIR	?=
PREFIX	?= /usr/local
BINDIR	:= $(PREFIX)/bin
MANDIR	:= $(PREFIX)/share/man
UNITDIR	:= $(PREFIX)/lib/systemd/system
SRCDIR	:= /usr/src/palacios-$(PALACIOS_VERSION)
tools	:= linux_module/tools
integration := linux_module/integration

# mode:file:where it goes. A file that ends in .in gets its @WORDS@ replaced.
install-list := \
	755:$(B)/bin/v3:$(BINDIR)/v3 \
	755:$(B)/bin/v3-mkimage:$(BINDIR)/v3-mkimage \
	644:$(tools)/v3.1:$(MANDIR)/man1/v3.1 \
	644:guest_tools/image/v3-mkimage.1:$(MANDIR)/man1/v3-mkimage.1 \
	644:$(integration)/palacios.4:$(MANDIR)/man4/palacios.4 \
	644:guest_tools/image/guest.toml.5:$(MANDIR)/man5/guest.toml.5 \
	644:$(tools)/v3.bash:$(PREFIX)/share/bash-completion/completions/v3 \
	644:linux_module/uapi/palacios.h:$(PREFIX)/include/linux/palacios.h \
	644:$(integration)/60-palacios.rules:$(PREFIX)/lib/udev/rules.d/60-palacios.rules \
	644:$(integration)/sysusers.conf:$(PREFIX)/lib/sysusers.d/palacios.conf \
	644:$(integration)/modprobe.conf:$(PREFIX)/lib/modprobe.d/palacios.conf \
	644:$(integration)/palacios.service:$(UNITDIR)/palacios.service \
	644:$(integration)/palacios-guest@.service.in:$(UNITDIR)/palacios-guest@.service \
	644:$(integration)/dkms.conf.in:$(SRCDIR)/dkms.conf

install-targets := $(foreach f,$(install-list),$(lastword $(subst :, ,$(f))))

.PHONY: install uninstall
install: $(B)/bin/v3 $(B)/bin/v3-mkimage
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)rm -rf '$(DESTDIR)$(SRCDIR)'
	$(Q)set -e -o pipefail; for f in $(install-list); do \
		IFS=: read -r mode from to <<<"$$f"; \
		case $$from in \
		*.in) sed -e 's,@BINDIR@,$(BINDIR),g; s,@VERSION@,$(PALACIOS_VERSION),g' "$$from" ;; \
		*) cat "$$from" ;; \
		esac | install -D -m "$$mode" /dev/stdin '$(DESTDIR)'"$$to"; \
	done
	$(Q)mkdir -p '$(DESTDIR)$(SRCDIR)/palacios'
	$(Q)cp -r $(addprefix linux_module/,$(linux-tops)) '$(DESTDIR)$(SRCDIR)/'
	$(Q)cp -r $(addprefix palacios/,src include objects.mk) '$(DESTDIR)$(SRCDIR)/palacios/'
	$(Q)grep '^CONFIG_V3_' $(AUTOCONF_MK) > '$(DESTDIR)$(SRCDIR)/config.mk'
	$(Q)chmod -R u=rwX,go=rX '$(DESTDIR)$(SRCDIR)'
	$(if $(DESTDIR),,$(Q)$(integration)/live.sh install $(PALACIOS_VERSION))

# Files only: folders may have been there before, or hold what is somebody else's.
uninstall:
	$(if $(DESTDIR),,$(Q)$(integration)/live.sh uninstall $(PALACIOS_VERSION))
	$(Q)rm -rf '$(DESTDIR)$(SRCDIR)'
	$(Q)rm -f $(addprefix '$(DESTDIR)',$(install-targets))
	$(if $(DESTDIR),,$(Q)$(integration)/live.sh uninstalled $(PALACIOS_VERSION))
