# SPDX-License-Identifier: BSD-3-Clause
# Guests that firmware boots: a disk and a CD with GRUB and the Debian guest's kernel, made once, and one definition
# per way to boot. Everything goes to $(DEBIAN)/bios.

BIOS	:= $(DEBIAN)/bios
bios-src := tests/system/bios
SEABIOS	:= /usr/share/seabios/bios-256k.bin
VGABIOS	:= /usr/share/seabios/vgabios-stdvga.bin

# name:vcpus. What name.devices says is added to the definition.
bios-guests := disk:2 ide:1 cd:1 keys:1
bios-tomls := $(foreach g,$(bios-guests),$(BIOS)/$(call debian-field,$(g),1).toml)

$(BIOS)/initramfs.cpio: $(debian-src)/mkinitramfs.sh $(debian-scripts) $(bios-src)/firmware $(debian-bins) \
		$(DEBIAN)/busybox
	$(call say,CPIO,$@)
	@mkdir -p $(@D)
	$(Q)$(debian-src)/mkinitramfs.sh $(DEBIAN)/busybox $@ $(debian-scripts) $(bios-src)/firmware $(debian-bins)

$(BIOS)/disk.img $(BIOS)/cd.iso &: $(bios-src)/mkmedia.sh $(BIOS)/initramfs.cpio $(DEBIAN)/vmlinuz
	$(call say,MEDIA,$(BIOS)/disk.img)
	$(Q)$(bios-src)/mkmedia.sh $(DEBIAN)/vmlinuz $(BIOS)/initramfs.cpio $(BIOS) \
		'console=tty0 $(DEBIAN_CMDLINE) job=firmware'

define bios-rule
$(BIOS)/$(call debian-field,$(1),1).toml: $(bios-src)/guest.toml.in $(bios-src)/build.mk \
		$(bios-src)/$(call debian-field,$(1),1).devices
	$$(call say,GEN,$$@)
	@mkdir -p $$(@D)
	$$(Q)sed -e 's/@NAME@/bios-$(call debian-field,$(1),1)/; s/@VCPUS@/$(call debian-field,$(1),2)/' \
		-e 's,@SEABIOS@,$(SEABIOS),; s,@VGABIOS@,$(VGABIOS),' $$< $$(filter %.devices,$$^) > $$@
endef
$(foreach g,$(bios-guests),$(eval $(call bios-rule,$(g))))

.PHONY: bios-guest
bios-guest: $(BIOS)/disk.img $(BIOS)/cd.iso $(bios-tomls)
