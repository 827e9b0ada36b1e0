# SPDX-License-Identifier: BSD-3-Clause
# Guests that firmware boots: a disk and a CD with GRUB and the Debian guest's kernel, media with other software of
# Debian's, made once, and one definition per way to boot. Everything goes to $(DEBIAN)/bios.

BIOS	:= $(DEBIAN)/bios
bios-src := tests/system/bios
SEABIOS	:= /usr/share/seabios/bios-256k.bin
VGABIOS	:= /usr/share/seabios/vgabios-isavga.bin

# name:vcpus. What name.devices says is added to the definition. The second line is software.t's.
bios-guests := disk:2 ide:1 cd:1 keys:1 \
	isolinux:1 syslinux:1 menu:1 ipxe:1 memtest:1
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

# What software.t boots is Debian's, too: fetched, then put on media.
SOFTWARE := $(BIOS)/software
software := $(addprefix $(SOFTWARE)/,isolinux.bin mbr.bin syslinux ldlinux.c32 libcom32.c32 libutil.c32 menu.c32 \
	memtest86+x64.iso ipxe.iso xen.gz vmlinuz-686 vmlinuz-686-pae busybox-i386)
$(software) &:
	$(call say,FETCH,$(SOFTWARE))
	$(Q)$(bios-src)/fetch.sh $(SOFTWARE)

$(BIOS)/i386.cpio: $(debian-src)/mkinitramfs.sh $(debian-src)/init $(SOFTWARE)/busybox-i386
	$(call say,CPIO,$@)
	$(Q)$(debian-src)/mkinitramfs.sh $(SOFTWARE)/busybox-i386 $@ $(debian-src)/init

software-media := $(addprefix $(BIOS)/,isolinux.iso syslinux.img grub.iso)
$(software-media) &: $(bios-src)/mksoftware.sh $(software) $(BIOS)/initramfs.cpio $(BIOS)/i386.cpio $(DEBIAN)/vmlinuz
	$(call say,MEDIA,$(BIOS)/grub.iso)
	$(Q)$(bios-src)/mksoftware.sh $(SOFTWARE) $(DEBIAN)/vmlinuz $(BIOS)/initramfs.cpio $(BIOS)/i386.cpio $(BIOS) \
		'$(DEBIAN_CMDLINE)'

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
bios-guest: $(BIOS)/disk.img $(BIOS)/cd.iso $(software-media) $(bios-tomls)
